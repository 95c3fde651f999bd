import { AppError } from '#base/errors.ts'

/** A JSON object whose values are not known yet. */
export interface JsonObject {
  readonly [key: string]: unknown
}

/** Manifests and configs above this are refused: a registry need not take a larger manifest (distribution-spec, § Pushing Manifests). */
export const JSON_LIMIT_BYTES = 4 * 1024 * 1024
const DEPTH_LIMIT = 64 // real configs have 6; what follows is recursive

/**
 * Untrusted `bytes` as a JSON object. Throws `image_unsupported` when they are too many, no UTF-8, no JSON, nested deeply,
 * or hold a number that would not be written back as it was.
 */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  if (bytes.length > JSON_LIMIT_BYTES) refuse(what, `has ${bytes.length} bytes, more than 4 MiB`)
  const value = parseText(bytes, what)
  checkExact(value, what, 0)
  return asObject(value, what)
}

/** `value` as an object, or `image_unsupported`. */
export function asObject(value: unknown, what: string): JsonObject {
  return isObject(value) ? value : refuse(what, 'is not an object')
}

/** `value` as a list; one that is missing or null is empty, as Go writes it. */
export function asArray(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? value : refuse(what, 'is not a list')
}

/** `value` as text, or `image_unsupported`. */
export function asString(value: unknown, what: string): string {
  return typeof value === 'string' ? value : refuse(what, 'is not text')
}

/** `value` as a map of texts; one that is missing or null is empty, as Go writes it. */
export function asStringMap(value: unknown, what: string): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {}
  return Object.fromEntries(Object.entries(asObject(value, what)).map(([key, text]) => [key, asString(text, what)]))
}

/** Whether `value` is a JSON object: no list, not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Throws `image_unsupported`: "The image's WHAT WHY." */
export function refuse(what: string, why: string): never {
  throw new AppError('image_unsupported', `The image's ${what} ${why}.`)
}

function parseText(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch {
    return refuse(what, 'is not JSON in UTF-8')
  }
}

/** JavaScript rounds integers above 2^53 in silence; an image config that we copy must not change. */
function checkExact(value: unknown, what: string, depth: number): void {
  if (depth > DEPTH_LIMIT) refuse(what, `is nested more than ${DEPTH_LIMIT} deep`)
  if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) refuse(what, 'holds too large a number')
  if (typeof value !== 'object' || value === null) return
  for (const inner of Object.values(value)) checkExact(inner, what, depth + 1)
}
