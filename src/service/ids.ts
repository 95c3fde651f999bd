import { randomBytes } from 'node:crypto'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'
const LENGTH = 18 // dsw-api §1.1: the length that image ids have; 93 bits
/** The largest multiple of 36 that a byte can have: what is above would favour some letters. */
const FAIR = 252

/** A new id that nobody can guess: `PREFIX-` and 18 lower-case letters and digits. */
export function newId(prefix: string): string {
  let id = ''
  while (id.length < LENGTH)
    for (const byte of randomBytes(LENGTH * 2))
      if (byte < FAIR && id.length < LENGTH) id += ALPHABET.charAt(byte % ALPHABET.length)
  return `${prefix}-${id}`
}
