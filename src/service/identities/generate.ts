import { randomInt } from 'node:crypto'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const KEY_ID_LENGTH = 20
const SECRET_LENGTH = 40 // 238 bits
const ID_DIGITS = 17

const pick = (alphabet: string, length: number) =>
  Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join('')

/** The id of an access key: `TTAK` and 20 letters and digits. */
export const newAccessKeyId = (): string => `TTAK${pick(LETTERS, KEY_ID_LENGTH)}`

/** What every temporary access key begins with: clients and servers tell them from lasting ones by it. */
export const TEMPORARY_PREFIX = 'STS.'
export const newTemporaryKeyId = (): string => `${TEMPORARY_PREFIX}${pick(LETTERS, KEY_ID_LENGTH)}`

/** A secret that nobody can guess: 40 letters and digits. */
export const newSecret = (): string => pick(LETTERS, SECRET_LENGTH)

/** RAM's ids are decimal: a user's begins with 2, a role's with 3. */
export const newUserId = (): string => `2${pick('0123456789', ID_DIGITS)}`
export const newRoleId = (): string => `3${pick('0123456789', ID_DIGITS)}`
/** 16 digits. */
export const newAccountId = (): string => `1${pick('0123456789', 15)}`
