/**
 * SHA-256 (FIPS 180-4) and HMAC (RFC 2104) without node:crypto: the console signs in a browser, where WebCrypto is
 * missing on a page that came over plain HTTP. The server verifies with node:crypto, which is fifty times as fast.
 */

/** The first 32 bits of the fractional part of `root(n)` for the first primes. */
function fractions(count: number, root: (n: number) => number): Uint32Array {
  const words: number[] = []
  for (let n = 2; words.length < count; n++) {
    let divisor = 2
    while (n % divisor !== 0) divisor++
    if (divisor === n) words.push((root(n) % 1) * 2 ** 32)
  }
  return Uint32Array.from(words)
}

const BLOCK_BYTES = 64
const INITIAL = fractions(8, Math.sqrt)
const ROUNDS = fractions(64, Math.cbrt)

const rotate = (word: number, bits: number) => (word >>> bits) | (word << (32 - bits))
const at = (words: Uint32Array, index: number) => words[index] ?? 0

/** The digest of `bytes`, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / BLOCK_BYTES) * BLOCK_BYTES)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setBigUint64(padded.length - 8, BigInt(bytes.length) * 8n)
  const state = INITIAL.slice()
  const schedule = new Uint32Array(64)
  for (let offset = 0; offset < padded.length; offset += BLOCK_BYTES) {
    for (let i = 0; i < 16; i++) schedule[i] = view.getUint32(offset + 4 * i)
    expand(schedule)
    compress(state, schedule)
  }
  const digest = new DataView(new ArrayBuffer(32))
  state.forEach((word, i) => digest.setUint32(4 * i, word))
  return new Uint8Array(digest.buffer)
}

/** FIPS 180-4 § 6.2.2, step 1. */
function expand(w: Uint32Array): void {
  for (let i = 16; i < 64; i++) {
    const far = at(w, i - 15)
    const near = at(w, i - 2)
    const s0 = rotate(far, 7) ^ rotate(far, 18) ^ (far >>> 3)
    const s1 = rotate(near, 17) ^ rotate(near, 19) ^ (near >>> 10)
    w[i] = at(w, i - 16) + s0 + at(w, i - 7) + s1
  }
}

/** FIPS 180-4 § 6.2.2, steps 2 to 4. */
function compress(state: Uint32Array, w: Uint32Array): void {
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state
  for (let i = 0; i < 64; i++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + at(ROUNDS, i) + at(w, i)) | 0
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0]
  }
  ;[a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] = at(state, i) + word))
}

/** HMAC-SHA256 of `message` with `key`, 32 bytes. */
export function hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES)
  block.set(key.length > BLOCK_BYTES ? sha256(key) : key)
  const inner = sha256(
    join(
      block.map((byte) => byte ^ 0x36),
      message,
    ),
  )
  return sha256(
    join(
      block.map((byte) => byte ^ 0x5c),
      inner,
    ),
  )
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length)
  joined.set(first)
  joined.set(second, first.length)
  return joined
}
