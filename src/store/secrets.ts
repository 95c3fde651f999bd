import { createCipheriv, createDecipheriv, createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import { link, mkdir, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError, systemCode } from '#base/errors.ts'

/** Text that is kept or handed out without being readable: AES-256-GCM under the key of this installation. */
export interface Secrets {
  /** `purpose` says what it is (`registry-password`): what was sealed for one is not opened for another. */
  seal(text: string, purpose: string): string
  /** Throws `store_unsupported` for what this key did not seal for this purpose, or what was changed. */
  unseal(sealed: string, purpose: string): string
  /** A key of its own for one purpose, 32 bytes: for sessions, tokens and whatever must be signed. */
  deriveKey(purpose: string): Buffer
}

const KEY_BYTES = 32
const IV_BYTES = 12 // NIST SP 800-38D §8.2.2: 96 random bits
const TAG_BYTES = 16
const FORM = 'v1.'

/** Secrets under `key`, which must have 32 bytes. */
export function secretsOf(key: Uint8Array): Secrets {
  if (key.length !== KEY_BYTES) throw new AppError('internal', `A secret key has ${KEY_BYTES} bytes.`)
  // A key per purpose, so that the number of texts under one key stays far below what random IVs allow (2^32).
  const keys = new Map<string, Buffer>()
  const deriveKey = (purpose: string): Buffer => {
    const known = keys.get(purpose)
    if (known) return known
    const derived = createHmac('sha256', key).update(`tintype ${purpose}`).digest()
    keys.set(purpose, derived)
    return derived
  }
  const drawers = new Map<string, Drawer>()
  const drawerOf = (purpose: string): Drawer => {
    const known = drawers.get(purpose)
    if (known) return known
    const made = { key: createSecretKey(deriveKey(purpose)), opened: new Map<string, string>() }
    drawers.set(purpose, made)
    return made
  }
  return {
    deriveKey,
    seal: (text, purpose) => sealWith(drawerOf(purpose).key, text),
    unseal: (sealed, purpose) => unsealOnce(drawerOf(purpose), sealed),
  }
}

/** What is sealed for one purpose. */
interface Drawer {
  readonly key: KeyObject
  /** What was unsealed last: a page of instances has two hundred secrets, and people look at the same page again. */
  readonly opened: Map<string, string>
}

/** This process holds the key: what it has opened is no more secret in its memory than what it could open. */
const MOST_OPENED = 1000
/** Longer ones are opened each time: whoever writes them again and again must not fill the memory. */
const MOST_KEPT_CHARS = 2048

function unsealOnce({ key, opened }: Drawer, sealed: string): string {
  const known = opened.get(sealed)
  if (known !== undefined) return known
  const text = unsealWith(key, sealed)
  if (sealed.length > MOST_KEPT_CHARS) return text
  if (opened.size >= MOST_OPENED) opened.clear()
  opened.set(sealed, text)
  return text
}

function sealWith(key: KeyObject, text: string): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return FORM + Buffer.concat([iv, cipher.getAuthTag(), body]).toString('base64url')
}

function unsealWith(key: KeyObject, sealed: string): string {
  const bytes = Buffer.from(sealed.startsWith(FORM) ? sealed.slice(FORM.length) : '', 'base64url')
  if (bytes.length < IV_BYTES + TAG_BYTES) throw unreadable()
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
  try {
    const text = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES))
    return Buffer.concat([text, decipher.final()]).toString('utf8')
  } catch (cause) {
    throw unreadable(cause)
  }
}

function unreadable(cause?: unknown): AppError {
  const message = 'A secret cannot be read: it was sealed with another secret.key, or was changed.'
  return new AppError('store_unsupported', message, cause === undefined ? {} : { cause })
}

/**
 * The key in the file at `path`; made, with mode 0600, when there is none. Several processes may ask at once: all get
 * the same one. Throws `config_invalid` when the file is no key, or others may read it; `permission_denied`.
 */
export async function openSecretKey(path: string): Promise<Buffer> {
  for (;;) {
    const found = await readKey(path)
    if (found) return found
    await makeKey(path)
  }
}

async function readKey(path: string): Promise<Buffer | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const { mode } = await file.stat()
      if ((mode & 0o077) !== 0)
        throw new AppError('config_invalid', `${path} may be read by others: make it 0600, as it holds the secret key.`)
      return parseKey(path, await file.readFile('utf8'))
    } finally {
      await file.close()
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    if (systemCode(error) !== 'EACCES') throw error
    throw new AppError('permission_denied', `${path} cannot be read: run as the user that owns it.`, { cause: error })
  }
}

function parseKey(path: string, text: string): Buffer {
  const match = /^([0-9a-f]{64})\n?$/.exec(text)
  if (match?.[1] === undefined)
    throw new AppError('config_invalid', `${path} must hold 64 hex digits: bring it back from a backup.`)
  return Buffer.from(match[1], 'hex')
}

/** Written under another name and linked: whoever sees the file sees all of it, and nobody replaces another's. */
async function makeKey(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(`${randomBytes(KEY_BYTES).toString('hex')}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  } finally {
    await rm(temporary, { force: true })
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
