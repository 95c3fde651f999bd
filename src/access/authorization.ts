import { timingSafeEqual } from 'node:crypto'
import { AppError } from '#base/errors.ts'

interface Claims {
  readonly accessKeyId: string
  readonly signature: string
  /** As sent. */
  readonly date: string
  readonly dateMs: number
  /** 1 to 128 printable characters; the signature itself where an old client sends none. */
  readonly nonce: string
  /** Given if and only if the key is a temporary one (`STS.…`). */
  readonly securityToken?: string
  readonly action?: string
  readonly version?: string
}

export interface Acs3Authorization extends Claims {
  readonly scheme: 'acs3'
  readonly signedHeaders: readonly string[]
}

export interface Acs1Authorization extends Claims {
  readonly scheme: 'acs1'
}

/** What a request says of its signature; nothing of it is proven yet. */
export type Authorization = Acs3Authorization | Acs1Authorization

/** Whether two signatures are equal, in a time that does not tell where they differ. */
export function isSameSignature(expected: string, given: string): boolean {
  const left = Buffer.from(expected)
  const right = Buffer.from(given)
  return left.length === right.length && timingSafeEqual(left, right)
}

/** The error of a signature that is not right, in the hosted service's words, and what to look at. */
export function signatureMismatch(remedy: string): AppError {
  return new AppError('signature_mismatch', `Specified signature is not matched with our calculation: ${remedy}.`)
}
