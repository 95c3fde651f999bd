import { IsArray, IsBoolean, IsEnum, IsInteger, IsObject, IsRecord, IsString, IsUnknown } from 'typebox'
import type { TObject, TSchema } from 'typebox'
import { AppError } from '#base/errors.ts'
import { LIST_LIMIT } from './schema.ts'

/**
 * Reading what a client sent before it is checked: unknown fields are left out, null counts as absent, an absent field
 * gets its default, and the texts of a query become what the schema wants. What has the wrong type stays as it is: the
 * check will say so.
 */
export type Read = (raw: unknown) => unknown

/** Deeper than any documented field of free content, and far from what could hurt. */
const DEPTH_LIMIT = 8
const NAME_LIMIT = 256
const WHOLE_NUMBER = /^-?\d{1,16}$/

/** Reads JSON for `schema`. The reader throws `validation_failed` for what no schema can say; `path` names the field there. */
export function jsonReader(schema: TSchema, path: string): Read {
  if (IsObject(schema)) return objectReader(schema, path)
  if (IsArray(schema)) return listReader(jsonReader(schema.items, `${path}[]`), path)
  if (IsRecord(schema)) return mapReader(Object.values(schema.patternProperties), path)
  if (IsEnum(schema) && 'x-case' in schema) return (raw) => (typeof raw === 'string' ? raw.toUpperCase() : raw)
  if (IsString(schema)) return (raw) => checkText(raw, path)
  if (IsUnknown(schema)) return (raw) => checkAnything(raw, path, 0)
  return (raw) => raw
}

/** Reads the decoded parameters of a query, or of a path: texts, but for those that are one JSON text. */
export function queryReader(schema: TObject, json: readonly string[]): Read {
  const readers = Object.entries(schema.properties).map(([name, property]): FieldReader => {
    const read = jsonReader(property, name)
    const fromText = json.includes(name) ? (raw: string) => read(parseJson(raw, name)) : textReader(property, read)
    return { name, fallback: fallbackOf(property), read: (raw) => fromText(single(raw, name)) }
  })
  return (raw) => readFields(raw, readers)
}

interface FieldReader {
  readonly name: string
  readonly read: Read
  readonly fallback: unknown
}

function objectReader(schema: TObject, path: string): Read {
  const readers = Object.entries(schema.properties).map(([name, property]): FieldReader => {
    return { name, fallback: fallbackOf(property), read: jsonReader(property, path === '' ? name : `${path}.${name}`) }
  })
  return (raw) => readFields(raw, readers)
}

function readFields(raw: unknown, readers: readonly FieldReader[]): unknown {
  if (!isObject(raw)) return raw
  const fields: Record<string, unknown> = {}
  for (const { name, read, fallback } of readers) {
    const given = Object.hasOwn(raw, name) ? raw[name] : undefined
    const value = given === undefined || given === null ? fallback : (read(given) ?? fallback)
    if (value !== undefined) fields[name] = value
  }
  return fields
}

/** A list that is too long ends here: the check would look at each of its items. */
function listReader(readItem: Read, path: string): Read {
  return (raw) => {
    if (!Array.isArray(raw)) return raw
    if (raw.length > LIST_LIMIT) throw refused(path, `${path} has ${raw.length} items; ${LIST_LIMIT} is the most.`)
    return raw.map(readItem)
  }
}

function mapReader([value]: readonly TSchema[], path: string): Read {
  const readValue = value === undefined ? (raw: unknown) => raw : jsonReader(value, path)
  return (raw) => {
    if (!isObject(raw)) return raw
    const entries = Object.entries(raw).filter(([, given]) => given !== null)
    if (entries.length > LIST_LIMIT)
      throw refused(path, `${path} has ${entries.length} names; ${LIST_LIMIT} is the most.`)
    return Object.fromEntries(entries.map(([name, given]) => [checkName(name, path), readValue(given)]))
  }
}

/** How the text of a query value becomes what `schema` wants. An empty text is a value only for a text. */
function textReader(schema: TSchema, read: Read): (raw: string) => unknown {
  const orAbsent = (parse: (raw: string) => unknown) => (raw: string) => (raw === '' ? undefined : parse(raw))
  if (IsInteger(schema)) {
    return orAbsent((raw) => (WHOLE_NUMBER.test(raw) && Number.isSafeInteger(Number(raw)) ? Number(raw) : raw))
  }
  if (IsBoolean(schema)) {
    // Python clients send True and False where they do not convert.
    return orAbsent((raw) => ({ true: true, false: false })[raw.toLowerCase()] ?? raw)
  }
  return IsEnum(schema) ? orAbsent(read) : read
}

function single(raw: unknown, name: string): string {
  if (typeof raw === 'string') return raw
  throw new AppError('validation_failed', `${name} is given more than once; give it once.`, {
    details: { field: name },
  })
}

function parseJson(raw: string, name: string): unknown {
  if (raw === '') return undefined
  try {
    return JSON.parse(raw) ?? undefined
  } catch (cause) {
    throw new AppError('validation_failed', `${name} must be one JSON text.`, { details: { field: name }, cause })
  }
}

function fallbackOf(schema: TSchema): unknown {
  return 'default' in schema ? schema.default : undefined
}

function isObject(raw: unknown): raw is Record<string, unknown> {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw)
}

/** Databases and terminals cannot hold NUL; half a surrogate pair has no bytes. */
function checkText(raw: unknown, path: string): unknown {
  if (typeof raw !== 'string' || (raw.isWellFormed() && !raw.includes('\0'))) return raw
  throw refused(path, `${path} has characters that are no text; leave out NUL and unpaired surrogates.`)
}

function checkName(name: string, path: string): string {
  const isUsable = name !== '' && name.length <= NAME_LIMIT && name !== '__proto__'
  if (isUsable && name.isWellFormed() && !/[\0-\x1f\x7f]/.test(name)) return name
  throw refused(path, `${path} has a name that cannot be used; give names of 1 to ${NAME_LIMIT} printable characters.`)
}

function checkAnything(raw: unknown, path: string, depth: number): unknown {
  if (typeof raw !== 'object' || raw === null) return checkText(raw, path)
  if (depth === DEPTH_LIMIT) throw refused(path, `${path} has more than ${DEPTH_LIMIT} levels; nest it less.`)
  for (const [name, value] of Object.entries(raw)) {
    if (!Array.isArray(raw)) checkName(name, path)
    checkAnything(value, path, depth + 1)
  }
  return raw
}

function refused(path: string, sentence: string): AppError {
  return new AppError('validation_failed', sentence, { details: { field: path } })
}
