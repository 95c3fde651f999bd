import { createHash } from 'node:crypto'
import { AppError } from '#base/errors.ts'

/** `sha256:` and 64 lower-case hex digits: the digest of bytes as they are stored (image-spec, descriptor.md § Digests). */
export type Digest = `sha256:${string}`
/** The digest of a layer's uncompressed tar. Another type, because it is never the digest of what a registry stores. */
export type DiffID = Digest & { readonly __diffID: true }

const PATTERN = /^sha256:[0-9a-f]{64}$/

/** `text` as a digest. Throws `digest_invalid` for another algorithm or form. */
export function parseDigest(text: string): Digest {
  if (!PATTERN.test(text))
    throw new AppError('digest_invalid', `Not a sha256 digest: ${JSON.stringify(text).slice(0, 100)}.`)
  return text as Digest
}

/** `text` as a diffID. Throws `digest_invalid`. */
export function parseDiffID(text: string): DiffID {
  return parseDigest(text) as DiffID
}

/** The digest of `bytes`. */
export function digestOf(bytes: Uint8Array | string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
}
