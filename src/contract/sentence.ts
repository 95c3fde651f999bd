import { IsArray, IsEnum, IsInteger, IsObject, IsRecord, IsString } from 'typebox'
import type { TSchema } from 'typebox'
import type { TValidationError } from 'typebox/error'
import { INT32_LIMIT } from './schema.ts'

/** A longer value is not of help in a sentence. */
const SHOWN_LIMIT = 60

/** What is wrong, in one sentence, and the field that it is about. */
export interface Problem {
  readonly field: string
  readonly sentence: string
}

/** The first thing that is wrong with `value`, said so that a person can put it right. A secret is never repeated. */
export function problemOf(schema: TSchema, value: unknown, error: TValidationError): Problem {
  const found = follow(schema, value, error.instancePath)
  if (error.keyword === 'required') {
    const field = join(found.field, error.params.requiredProperties[0] ?? '')
    return { field, sentence: `${field} is missing; it is required.` }
  }
  const subject = found.field === '' ? 'The body' : found.field
  return { field: found.field, sentence: `${subject} ${complaint(found.schema, found.value, error)}.` }
}

interface Found {
  readonly field: string
  readonly schema: TSchema
  readonly value: unknown
}

/** The field that a JSON pointer (RFC 6901) names: `/Labels/0/Key` is `Labels[0].Key`. */
function follow(schema: TSchema, value: unknown, pointer: string): Found {
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  return steps.reduce<Found>((at, step) => stepInto(at, step), { field: '', schema, value })
}

function stepInto(at: Found, step: string): Found {
  const value: unknown = Object(at.value)[step]
  if (IsArray(at.schema)) return { field: `${at.field}[${step}]`, schema: at.schema.items, value }
  const field = join(at.field, step)
  if (IsObject(at.schema)) return { field, schema: at.schema.properties[step] ?? {}, value }
  if (IsRecord(at.schema)) return { field, schema: Object.values(at.schema.patternProperties)[0] ?? {}, value }
  return { field, schema: {}, value }
}

function join(field: string, name: string): string {
  return field === '' ? name : `${field}.${shorten(name)}`
}

function complaint(schema: TSchema, value: unknown, error: TValidationError): string {
  switch (error.keyword) {
    case 'maxLength':
      if (!('x-rule' in schema)) return `has ${String(value).length} characters; ${error.params.limit} is the most`
      break
    case 'minLength':
      if (!('x-rule' in schema)) return 'must not be empty'
  }
  const isSecret = 'writeOnly' in schema
  return `must be ${wanted(schema)}${isSecret ? '' : `, not ${shown(value)}`}`
}

/** What the schema asks for, to follow "must be". */
function wanted(schema: TSchema): string {
  if ('x-rule' in schema) return String(schema['x-rule'])
  if (IsEnum(schema))
    return schema.enum
      .map(String)
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1')
  if (IsInteger(schema)) return range(schema)
  if (IsString(schema)) return 'a text'
  if (IsArray(schema)) return 'a list'
  if (IsObject(schema) || IsRecord(schema)) return 'an object'
  return 'type' in schema && schema.type === 'boolean' ? 'true or false' : 'a number'
}

function range(schema: object): string {
  const { minimum, maximum } = { minimum: 0, maximum: 0, ...schema }
  if (maximum < INT32_LIMIT) return `a whole number from ${minimum} to ${maximum}`
  return minimum < 0 ? 'a whole number' : `a whole number of at least ${minimum}`
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'string' ? JSON.stringify(shorten(value)) : String(value)
}

function shorten(text: string): string {
  return text.length <= SHOWN_LIMIT ? text : `${[...text.slice(0, SHOWN_LIMIT)].slice(0, -1).join('')}…`
}
