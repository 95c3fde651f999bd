import assert from 'node:assert/strict'
import { createHmac, hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { hmacSha256, sha256 } from './sha256.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('FIPS 180-4: the digests of its examples', () => {
  const rows = [
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ] as const
  for (const [text, digest] of rows) assert.equal(hex(sha256(Buffer.from(text))), digest)
})

test('every length around a block gives what OpenSSL gives', () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = Buffer.alloc(length, length)
    assert.equal(hex(sha256(bytes)), hash('sha256', bytes))
  }
})

test('the HMAC is what OpenSSL gives, for keys longer than a block too', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 300 }), (key, message) => {
      assert.equal(hex(hmacSha256(key, message)), createHmac('sha256', key).update(message).digest('hex'))
    }),
  )
})
