import { IsArray, IsBoolean, IsEnum, IsInteger, IsObject, IsRecord, IsString } from 'typebox'
import type { TObject, TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { exampleOf } from '#contract/examples.ts'
import { OPERATIONS, type Action } from '#contract/operations.ts'
import type { Operation } from '#contract/operation.ts'

/** Values where the documented example is none that this server can take, by path; `undefined` leaves a field out. */
export type Chosen = Readonly<Record<string, unknown>>

export interface FullRequest {
  readonly query: Readonly<Record<string, unknown>>
  readonly body: Readonly<Record<string, unknown>> | undefined
}

/** A request with every declared field, but for what `chosen` leaves out. */
export function fullRequest(action: Action, chosen: Chosen): FullRequest {
  const { query, body }: Operation = OPERATIONS[action]
  return {
    query: fill(query, chosen, '') as FullRequest['query'],
    body: body && (fill(body, chosen, '') as FullRequest['body']),
  }
}

/** The query as it is sent: JSON for objects and lists. */
export function encodeQuery(query: FullRequest['query']): string {
  const textOf = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value))
  return Object.entries(query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(textOf(value))}`)
    .join('&')
}

function fill(schema: TSchema, chosen: Chosen, path: string): unknown {
  if (path in chosen) return chosen[path]
  if (IsObject(schema)) return fillObject(schema, chosen, path)
  if (IsArray(schema)) return [fill(schema.items, chosen, `${path}[]`)]
  if (IsRecord(schema)) return { key1: 'value1' }
  const value = exampleOf(path.replaceAll('[]', '').split('.').at(-1)!, schema) ?? plainValue(schema)
  if (!Check(schema, value)) throw new Error(`${path}: ${String(value)} is not valid; choose a value.`)
  return value
}

function fillObject(schema: TObject, chosen: Chosen, path: string): object {
  const entries = Object.entries(schema.properties).map(([name, property]) => {
    return [name, fill(property, chosen, path === '' ? name : `${path}.${name}`)] as const
  })
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

function plainValue(schema: TSchema): unknown {
  if (IsEnum(schema)) return schema.enum[0]
  if (IsBoolean(schema)) return false
  if (IsInteger(schema)) return 1
  return IsString(schema) ? 'text' : 1
}

/** Whether a value has something at a path such as `Datasets[].Uri`, in the first item of each list. */
export function hasPath(value: unknown, path: string): boolean {
  const found = path.split('.').reduce<unknown>((at, step) => {
    const [name = '', ...lists] = step.split('[]')
    return lists.reduce<unknown>((inner) => Object(inner)[0], Object(at)[name])
  }, value)
  return found !== undefined
}
