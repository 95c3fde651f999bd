import { IsArray, IsObject } from 'typebox'
import type { TObject, TSchema } from 'typebox'
import type { Operation } from './operation.ts'
import type { Action } from './operations.ts'
import { OPERATION_COVERAGE } from './coverage-table.ts'

/** What becomes of an operation, or of a field of a request: it works; it is accepted and ignored; it is refused. */
export type Coverage = 'works' | 'ignored' | 'refused'

/** Why it does not simply work. */
export interface Remark {
  readonly coverage: Coverage
  readonly reason: string
}

export interface OperationCoverage {
  /** Of the operation as a whole. */
  readonly remark?: Remark
  /** By path, such as `Datasets[].Uri`; what is inside of a field shares its remark. What is not named works. */
  readonly request?: Readonly<Record<string, Remark>>
  /** Fields of the answer that are never there, and why. */
  readonly absent?: Readonly<Record<string, string>>
}

/** One field of a request or an answer, by its path; those that only hold others are not fields of their own here. */
export interface FieldCoverage<T> {
  readonly path: string
  /** What the table says of it, and under which name: its own, or that of a field that it is inside of. */
  readonly entry?: { readonly name: string; readonly says: T }
}

/** What becomes of each field of the request: of the query, then of the body. */
export function requestCoverage(operation: Operation): readonly FieldCoverage<Remark>[] {
  const { request = {} } = coverageOf(operation)
  const schemas = operation.body === undefined ? [operation.query] : [operation.query, operation.body]
  return schemas.flatMap((schema) => leaves(schema, '')).map((path) => ({ path, ...lookUp(path, request) }))
}

/** The fields of the answer; those with an entry are never there, for the reason that it gives. */
export function answerCoverage(operation: Operation): readonly FieldCoverage<string>[] {
  const { absent = {} } = coverageOf(operation)
  return leaves(operation.response, '').map((path) => ({ path, ...lookUp(path, absent) }))
}

/** What is said of the operation as a whole. */
export function coverageOf(operation: Operation): OperationCoverage {
  const table: Readonly<Partial<Record<string, OperationCoverage>>> = OPERATION_COVERAGE
  return table[operation.action] ?? {}
}

/** The entry of the field itself, or of the nearest that it is inside of. */
function lookUp<T>(path: string, entries: Readonly<Record<string, T>>): Omit<FieldCoverage<T>, 'path'> {
  for (let at = path; at !== ''; at = at.replace(/(?:^|\.)[^.]*$/, '')) {
    const name = at.replace(/(?:\[\])+$/, '')
    const says = entries[name]
    if (says !== undefined) return { entry: { name, says } }
  }
  return {}
}

function leaves(schema: TSchema, path: string): readonly string[] {
  if (IsArray(schema)) return leaves(schema.items, `${path}[]`)
  if (!IsObject(schema)) return [path]
  return propertyNames(schema).flatMap((name) =>
    leaves(schema.properties[name] ?? {}, path === '' ? name : `${path}.${name}`),
  )
}

function propertyNames(schema: TObject): readonly string[] {
  return Object.keys(schema.properties).sort()
}

export type CoverageTable = { readonly [A in Action]?: OperationCoverage }
