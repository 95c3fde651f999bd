import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, test } from 'node:test'
import fc from 'fast-check'
import { openSecretKey, secretsOf } from './secrets.ts'

const KEY = randomBytes(32)
const isUnreadable = { code: 'store_unsupported' }

test('what was sealed is what is unsealed, whatever it is', () => {
  const secrets = secretsOf(KEY)
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      assert.equal(secrets.unseal(secrets.seal(text, 'p'), 'p'), text)
    }),
  )
})

test('one text is sealed differently each time, and shows in none of them', () => {
  const secrets = secretsOf(KEY)
  const sealed = Array.from({ length: 50 }, () => secrets.seal('password', 'p'))
  assert.equal(new Set(sealed).size, 50)
  for (const text of sealed) assert.ok(!Buffer.from(text.slice(3), 'base64url').includes('password'))
})

test('every bit that is changed is noticed', () => {
  const secrets = secretsOf(KEY)
  const bytes = Buffer.from(secrets.seal('password', 'p').slice(3), 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    assert.throws(() => secrets.unseal(`v1.${changed.toString('base64url')}`, 'p'), isUnreadable)
  }
})

const refused = [
  ['another purpose', (sealed: string) => secretsOf(KEY).unseal(sealed, 'q')],
  ['another key', (sealed: string) => secretsOf(randomBytes(32)).unseal(sealed, 'p')],
  ['a text without our form', (sealed: string) => secretsOf(KEY).unseal(sealed.slice(3), 'p')],
  ['a text that is cut', (sealed: string) => secretsOf(KEY).unseal(sealed.slice(0, 20), 'p')],
  ['a text with more behind it', (sealed: string) => secretsOf(KEY).unseal(`${sealed}AAAA`, 'p')],
  ['nothing', () => secretsOf(KEY).unseal('', 'p')],
] as const
for (const [name, unseal] of refused)
  test(`not unsealed: ${name}`, () => {
    assert.throws(() => unseal(secretsOf(KEY).seal('password', 'p')), isUnreadable)
  })

test("a key for each purpose, the same for whoever has the installation's key", () => {
  const [one, other] = [secretsOf(KEY), secretsOf(KEY)]
  assert.deepEqual(one.deriveKey('session'), other.deriveKey('session'))
  assert.notDeepEqual(one.deriveKey('session'), one.deriveKey('token'))
  assert.equal(one.deriveKey('session').length, 32)
  assert.throws(() => secretsOf(KEY.subarray(1)), { code: 'internal' })
})

let home = ''
beforeEach(() => {
  home = mkdtempSync(`${tmpdir()}/tintype-secrets-`)
})
afterEach(() => rmSync(home, { recursive: true }))

test('the key file is made once, for its owner alone, and leaves nothing beside it', async () => {
  const path = `${home}/made/secret.key`
  const key = await openSecretKey(path)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(`${home}/made`).mode & 0o777, 0o700)
  assert.deepEqual(await openSecretKey(path), key)
  assert.deepEqual(readdirSync(`${home}/made`), ['secret.key'])
})

test('of many that ask at once all get one key', async () => {
  const keys = await Promise.all(Array.from({ length: 20 }, () => openSecretKey(`${home}/secret.key`)))
  assert.equal(new Set(keys.map((key) => key.toString('hex'))).size, 1)
  assert.deepEqual(readdirSync(home), ['secret.key'])
})

test('a key file that others may read, or that is no key, is refused and left as it is', async () => {
  const path = `${home}/secret.key`
  await openSecretKey(path)
  chmodSync(path, 0o640)
  await assert.rejects(openSecretKey(path), { code: 'config_invalid', message: /0600/ })
  for (const text of ['', 'x'.repeat(64), 'a'.repeat(63), `${'a'.repeat(64)}\n\n`]) {
    writeFileSync(path, text)
    chmodSync(path, 0o600)
    await assert.rejects(openSecretKey(path), { code: 'config_invalid', message: /64 hex digits/ })
    assert.equal(readFileSync(path, 'utf8'), text)
  }
})
