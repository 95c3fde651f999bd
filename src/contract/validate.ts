import type { TObject } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Validator } from 'typebox/compile'
import { AppError } from '#base/errors.ts'
import type { Operation } from './operation.ts'
import type { Action, BodyOf, ParamsOf, QueryOf } from './operations.ts'
import { jsonReader, queryReader } from './read.ts'
import type { Read } from './read.ts'
import { bodyProblem, queryProblem } from './rules.ts'
import { problemOf } from './sentence.ts'
import type { Problem } from './sentence.ts'

interface Checker {
  readonly read: Read
  readonly validator: Validator
}

/** Compiled when an operation is first called: all of them at once would delay the start. */
const checkers = new WeakMap<TObject, Checker>()

/** An operation of the table: its action says which types its parameters have. */
type Known<A extends Action> = Operation & { readonly action: A }

/** The parameters in the path, decoded. Throws `validation_failed`. */
export function validateParams<A extends Action>(operation: Known<A>, raw: unknown): ParamsOf<A>
export function validateParams({ params }: Operation, raw: unknown): unknown {
  return parseChecked(params, raw, () => queryReader(params, []))
}

/**
 * The query as typed values: `raw` has the decoded text of each parameter, or a list of texts where it came more than
 * once. Unknown parameters are left out, defaults filled in. Throws `validation_failed`, naming the parameter.
 */
export function validateQuery<A extends Action>(operation: Known<A>, raw: unknown): QueryOf<A>
export function validateQuery({ query, jsonQuery, action }: Operation, raw: unknown): unknown {
  const value = parseChecked(query, raw, () => queryReader(query, jsonQuery))
  refuse(queryProblem(action, value))
  return value
}

/**
 * The body as a typed value; undefined where the operation has none, whatever was sent. No body counts as an empty one.
 * Unknown fields are left out, null counts as absent. Throws `validation_failed`, naming the field.
 */
export function validateBody<A extends Action>(operation: Known<A>, raw: unknown): BodyOf<A>
export function validateBody({ body, action }: Operation, raw: unknown): unknown {
  if (body === undefined) return undefined
  const value = parseChecked(body, raw ?? {}, () => jsonReader(body, ''))
  refuse(bodyProblem(action, value))
  return value
}

function parseChecked(schema: TObject, raw: unknown, makeReader: () => Read): unknown {
  const { read, validator } = checkerOf(schema, makeReader)
  const value = read(raw)
  if (validator.Check(value)) return value
  const [error] = validator.Errors(value)
  refuse(error === undefined ? { field: '', sentence: 'The request is not valid.' } : problemOf(schema, value, error))
  throw new AppError('internal', 'A value that is not valid has no problem.')
}

function checkerOf(schema: TObject, makeReader: () => Read): Checker {
  const known = checkers.get(schema)
  if (known !== undefined) return known
  const checker = { read: makeReader(), validator: Compile(schema) }
  checkers.set(schema, checker)
  return checker
}

function refuse(problem: Problem | undefined): void {
  if (problem === undefined) return
  throw new AppError('validation_failed', problem.sentence, { details: { field: problem.field } })
}
