import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { chooseCodec } from './choose-codec.ts'
import { frameBound, openCodec, type CodecChoice } from './codec.ts'

type Wish = Parameters<typeof chooseCodec>[0]
const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip'
const ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd'

const CHOICES: readonly (readonly [string, Wish, CodecChoice, string])[] = [
  [
    'auto is gzip, which every engine reads',
    { compression: 'auto', zstdEverywhere: false },
    { name: 'isal', level: 1 },
    GZIP,
  ],
  [
    'auto is zstd where every host reads it',
    { compression: 'auto', zstdEverywhere: true },
    { name: 'zstd', level: 1 },
    ZSTD,
  ],
  ['what is asked for wins', { compression: 'gzip', zstdEverywhere: true }, { name: 'isal', level: 1 }, GZIP],
  [
    'ISA-L has a second level',
    { compression: 'gzip', level: 2, zstdEverywhere: false },
    { name: 'isal', level: 2 },
    GZIP,
  ],
  [
    'higher levels are zlib',
    { compression: 'gzip', level: 6, zstdEverywhere: false },
    { name: 'zlib', level: 6 },
    GZIP,
  ],
  ['zstd at its highest', { compression: 'zstd', level: 19, zstdEverywhere: false }, { name: 'zstd', level: 19 }, ZSTD],
  [
    'nothing at all',
    { compression: 'none', zstdEverywhere: false },
    { name: 'none', level: 0 },
    'application/vnd.oci.image.layer.v1.tar',
  ],
]
for (const [name, wish, choice, mediaType] of CHOICES) {
  test(`a codec: ${name}`, () => assert.deepEqual(chooseCodec(wish), { choice, mediaType, warnings: [] }))
}

const REFUSED: readonly (readonly [string, Wish, RegExp])[] = [
  [
    'gzip has nine levels',
    { compression: 'gzip', level: 10, zstdEverywhere: false },
    /--level 10 is not a level of gzip: use 1 to 9/,
  ],
  ['zstd has nineteen', { compression: 'zstd', level: 20, zstdEverywhere: false }, /use 1 to 19/],
  ['nothing cannot be pressed harder', { compression: 'none', level: 1, zstdEverywhere: false }, /leave it out/],
]
for (const [name, wish, message] of REFUSED) {
  test(`no codec: ${name}`, () => assert.throws(() => chooseCodec(wish), { code: 'usage_invalid', message }))
}

const READERS = {
  isal: gunzipSync,
  zlib: gunzipSync,
  zstd: zstdDecompressSync,
  none: (bytes: Uint8Array) => Buffer.from(bytes),
}
for (const [name, read] of Object.entries(READERS)) {
  test(`frames of ${name}, one after the other, are one stream that zlib reads`, () => {
    const compress = openCodec({ name: name as CodecChoice['name'], level: 1 })
    const parts = [Buffer.alloc(3_000_000, 'tar and tar and '), Buffer.alloc(0), Buffer.from('end')]
    const frames = parts.map((part) => Buffer.from(compress(part)))
    for (const [i, frame] of frames.entries()) assert.ok(frame.length <= frameBound(parts[i]!.length))
    assert.ok(read(Buffer.concat(frames)).equals(Buffer.concat(parts)))
  })
}
