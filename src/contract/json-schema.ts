import { IsArray, IsObject, IsRecord } from 'typebox'
import type { TObject, TSchema } from 'typebox'
import { exampleOf } from './examples.ts'

/** A JSON Schema, 2020-12, as OpenAPI 3.1 has them. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Our own keywords, and the form in which TypeBox writes maps, are put into words that every tool knows. */
export function jsonSchema(schema: TSchema, name?: string): JsonSchema {
  const example = name === undefined ? undefined : exampleOf(name, schema)
  const examples = example === undefined ? {} : { examples: [example] }
  if (IsObject(schema)) return { ...objectSchema(schema), ...examples }
  if (IsArray(schema)) return { ...plain(schema), items: jsonSchema(schema.items) }
  if (IsRecord(schema)) {
    const { patternProperties, ...rest } = plain(schema)
    return { ...rest, additionalProperties: jsonSchema(Object.values(Object(patternProperties))[0] ?? {}) }
  }
  return { ...plain(schema), ...examples }
}

/** What has a default may be left out, though it is always there once the request has been read. */
export function isRequired(schema: TObject, name: string): boolean {
  const required: readonly string[] = schema.required ?? []
  return required.includes(name) && !('default' in (schema.properties[name] ?? {}))
}

function objectSchema(schema: TObject): JsonSchema {
  const { required: _, ...rest } = plain(schema)
  const names = Object.keys(schema.properties)
  const required = names.filter((name) => isRequired(schema, name))
  const properties = names.map((name) => [name, jsonSchema(schema.properties[name] ?? {}, name)])
  return {
    ...rest,
    properties: Object.fromEntries(properties),
    ...(required.length > 0 && { required }),
  }
}

function plain(schema: TSchema): Record<string, unknown> {
  const { 'x-rule': rule, 'x-case': letterCase, ...rest } = Object.fromEntries(Object.entries(schema))
  const sentences = [
    ...(rule === undefined ? [] : [`Must be ${String(rule)}.`]),
    ...(letterCase === undefined ? [] : ['Lower case is taken, too.']),
  ]
  return { ...rest, ...(sentences.length > 0 && { description: sentences.join(' ') }) }
}
