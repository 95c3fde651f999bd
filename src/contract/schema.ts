import { Type } from 'typebox'
import type {
  TArray,
  TEnum,
  TInteger,
  TNumber,
  TObject,
  TOptional,
  TProperties,
  TRecord,
  TSchema,
  TString,
} from 'typebox'

/** Longer texts and lists than any request has a use for are refused: no request can be a bomb. */
export const TEXT_LIMIT = 4096
export const LIST_LIMIT = 1000
export const INT32_LIMIT = 2 ** 31 - 1

/** What a text must be. `rule` finishes the sentence "SnapshotName must be …" and is needed where there is a pattern. */
export interface TextOptions {
  readonly pattern?: string
  readonly rule?: string
  readonly min?: number
  readonly max?: number
  /** Its value is never repeated, in no error and no log. */
  readonly secret?: boolean
  readonly format?: string
}

/** A text, by default of any content and at most `TEXT_LIMIT` characters. */
export function text(options: TextOptions = {}): TString {
  return Type.String({
    maxLength: options.max ?? TEXT_LIMIT,
    ...(options.min !== undefined && { minLength: options.min }),
    ...(options.pattern !== undefined && { pattern: options.pattern }),
    ...(options.rule !== undefined && { 'x-rule': options.rule }),
    ...(options.secret === true && { writeOnly: true }),
    ...(options.format !== undefined && { format: options.format }),
  })
}

/** A text in an answer: of any length, because it is ours. */
export function said(): TString {
  return Type.String()
}

/** One of `values`, spelled exactly so. */
export function oneOf<const V extends string[]>(...values: V): TEnum<V> {
  return Type.Enum<V>(values, { type: 'string' })
}

/** One of `values`, which are in upper case; a request may write them in any case and means the same. */
export function oneOfAnyCase<const V extends string[]>(...values: V): TEnum<V> {
  return Type.Enum<V>(values, { type: 'string', 'x-case': 'upper' })
}

export interface RangeOptions {
  readonly min?: number
  readonly max?: number
  /** What an absent value means. A field with a default may be left out, and is always there after the validation. */
  readonly default?: number
}

/** A whole number of 32 bits. */
export function int32(range: RangeOptions = {}): TInteger {
  return integer('int32', INT32_LIMIT, range)
}

/** A whole number of 64 bits, as far as JSON and JavaScript carry it exactly: up to 2^53 − 1. */
export function int64(range: RangeOptions = {}): TInteger {
  return integer('int64', Number.MAX_SAFE_INTEGER, range)
}

function integer(format: string, limit: number, range: RangeOptions): TInteger {
  return Type.Integer({
    format,
    minimum: range.min ?? -limit,
    maximum: range.max ?? limit,
    ...(range.default !== undefined && { default: range.default }),
  })
}

/** A number with a fraction; `format` only says how wide the documented field is. */
export function decimal(format: 'float' | 'double'): TNumber {
  return Type.Number({ format })
}

/** true or false; in a query as text. */
export const flag = Type.Boolean

/** A list of at most `LIST_LIMIT` items. */
export function list<T extends TSchema>(items: T): TArray<T> {
  return Type.Array(items, { maxItems: LIST_LIMIT })
}

/** A list in an answer: of any length, because it is ours. */
export function listed<T extends TSchema>(items: T): TArray<T> {
  return Type.Array(items)
}

/** Names of the caller's own choice, each with a value. */
export function map<T extends TSchema>(value: T): TRecord<'^.*$', T> {
  return Type.Record(Type.String(), value, { maxProperties: LIST_LIMIT })
}

/** Any JSON, for fields whose content is documented nowhere. Its depth is limited by the validation. */
export const anything = Type.Unknown

type Optionals<P extends TProperties> = { [K in keyof P]: TOptional<P[K]> }

/** An object whose fields may be left out, but for `required`. In the contract this is the rule, not the exception. */
export function fields<O extends TProperties, R extends TProperties = Record<never, never>>(
  optional: O,
  required?: R,
): TObject<Optionals<O> & R>
export function fields(optional: TProperties, required: TProperties = {}): TObject {
  const entries = Object.entries(optional).map(([name, schema]) => [name, Type.Optional(schema)])
  return Type.Object({ ...Object.fromEntries(entries), ...required })
}
