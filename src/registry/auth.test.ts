import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '#base/clock.ts'
import { startFakeRegistry, startTokenServer } from '#lab/fake-registry.ts'
import type { FakeOptions, TokenServer } from '#lab/fake-registry.ts'
import { digestOf } from '#oci/digest.ts'
import { parseChallenges } from './auth.ts'
import type { Credentials } from './auth.ts'
import { openRegistryRepository } from './registry.ts'

const HEADERS = [
  ['Basic realm="x"', [['basic', { realm: 'x' }]], 'one challenge'],
  ['Bearer realm="https://a/t",service="s"', [['bearer', { realm: 'https://a/t', service: 's' }]], 'two parameters'],
  ['bEaReR  REALM = "x" , Scope=a:b:c', [['bearer', { realm: 'x', scope: 'a:b:c' }]], 'any case, spaces, a bare value'],
  ['Bearer scope="repository:a:pull,push"', [['bearer', { scope: 'repository:a:pull,push' }]], 'a comma in quotes'],
  ['Basic realm="a \\"b\\" \\\\c"', [['basic', { realm: 'a "b" \\c' }]], 'escaped characters'],
  [
    'Basic realm="x", Bearer realm="y", service="z"',
    [
      ['basic', { realm: 'x' }],
      ['bearer', { realm: 'y', service: 'z' }],
    ],
    'two challenges in one line',
  ],
  [
    'Negotiate, Basic realm="x"',
    [
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ],
    'a challenge without parameters',
  ],
  ['', [], 'nothing'],
  [',, ,', [], 'separators alone'],
  ['Basic realm="x', [['basic', {}]], 'an open quote: what was read before stays'],
] as const

for (const [header, expected, why] of HEADERS)
  test(`challenges: ${why}`, () => {
    const found = parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])
    assert.deepEqual(found, expected)
  })

test('any header is read to an end', () => {
  fc.assert(fc.property(fc.string({ maxLength: 500, unit: 'binary' }), (header) => void parseChallenges(header)))
})

test('what is written is read: challenges survive their own text', () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/)
  const challenge = fc.record({
    scheme: word,
    parameters: fc.dictionary(word, fc.string({ maxLength: 20 }), { minKeys: 1 }),
  })
  fc.assert(
    fc.property(fc.array(challenge, { maxLength: 3 }), (challenges) => {
      const quoted = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`
      const header = challenges
        .map(({ scheme, parameters }) => {
          const list = Object.entries(parameters).map(([name, value]) => `${name}=${quoted(value)}`)
          return `${scheme} ${list.join(', ')}`
        })
        .join(', ')
      const found = parseChallenges(header).map(({ scheme, parameters }) => ({
        scheme,
        parameters: { ...Object.fromEntries(parameters) },
      }))
      assert.deepEqual(
        found,
        challenges.map(({ scheme, parameters }) => ({ scheme, parameters: { ...parameters } })),
      )
    }),
  )
})

const ADA: Credentials = { kind: 'basic', username: 'ada', password: 'right' }
const BASIC_ADA = `Basic ${Buffer.from('ada:right').toString('base64')}`
const DIGEST = digestOf('a blob')
const PULL = 'repository:some/thing:pull'

interface Clocked {
  nowMs: number
}

function open(
  host: string,
  credentials: Credentials | undefined,
  clocked: Clocked = { nowMs: 0 },
  repository = 'some/thing',
) {
  const clock = { wallNs: () => 0n, wallMs: () => 0, monotonicMs: () => clocked.nowMs }
  return openRegistryRepository(
    { registry: host, repository, credentials: async () => credentials, plainHttp: true },
    { pace: { clock, sleep: async () => {}, random: () => 0.5 } },
  )
}

const bearer = (tokens: TokenServer, scope: string): FakeOptions => ({
  challenge: (seen) =>
    tokens.grants(seen, scope) ? undefined : `Bearer realm="${tokens.realm}",service="fake",scope="placeholder"`,
})

test('a token is fetched for our own scopes, not those that the registry makes up, and kept', async () => {
  await using tokens = await startTokenServer()
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  const repository = open(fake.host, ADA)
  for (let i = 0; i < 3; i++) assert.equal(await repository.hasBlob(DIGEST), false)
  assert.equal(tokens.asked.length, 1)
  assert.equal(tokens.asked[0]?.authorization, BASIC_ADA)
  assert.deepEqual(
    [...tokens.asked[0]!.parameters],
    [
      ['service', 'fake'],
      ['scope', PULL],
    ],
  )
  assert.equal(fake.seen.length, 4, 'one 401, then three answers')
  assert.ok(
    fake.seen.every(({ headers }) => headers.authorization !== BASIC_ADA),
    'the password goes to the realm only',
  )
})

test('many calls at once share one token: the first, one that was taken back, one that has become stale', async () => {
  await using tokens = await startTokenServer()
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  const clocked = { nowMs: 0 }
  const repository = open(fake.host, undefined, clocked)
  const many = () => Promise.all(Array.from({ length: 8 }, () => repository.hasBlob(DIGEST)))
  await many()
  assert.equal(tokens.asked.length, 1)
  await many()
  assert.equal(tokens.asked.length, 1)
  tokens.revoke()
  await many()
  assert.equal(tokens.asked.length, 2)
  clocked.nowMs += 3600e3
  await many()
  assert.equal(tokens.asked.length, 3)
})

test('without credentials the token is asked for anonymously', async () => {
  await using tokens = await startTokenServer()
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  await open(fake.host, undefined).hasBlob(DIGEST)
  assert.equal(tokens.asked[0]?.authorization, undefined)
})

const LIVES = [
  [{ token: 'token-1' }, 44_999, 45_001, 'a token without expires_in lives 60 s'],
  [{ access_token: 'token-1', expires_in: 300 }, 269_999, 270_001, 'access_token, and 30 s before its end'],
  [{ token: 'token-1', expires_in: 20 }, 14_999, 15_001, 'a short life: a quarter before its end'],
  [{ token: 'token-1', expires_in: -5 }, 44_999, 45_001, 'a negative life is no life at all'],
  [{ token: 'token-1', expires_in: 'long' }, 44_999, 45_001, 'nor is a text'],
] as const

for (const [body, freshMs, staleMs, why] of LIVES)
  test(`renewal: ${why}`, async () => {
    const clocked = { nowMs: 0 }
    await using tokens = await startTokenServer({
      answer: (_, count) => (count === 1 ? { status: 200, body: JSON.stringify(body) } : undefined),
    })
    await using fake = await startFakeRegistry(bearer(tokens, PULL))
    const repository = open(fake.host, undefined, clocked)
    await repository.hasBlob(DIGEST)
    clocked.nowMs = freshMs
    await repository.hasBlob(DIGEST)
    assert.equal(tokens.asked.length, 1)
    clocked.nowMs = staleMs
    await repository.hasBlob(DIGEST)
    assert.equal(tokens.asked.length, 2)
  })

test('an identity token buys access tokens by POST, and goes nowhere else', async () => {
  await using tokens = await startTokenServer()
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  await open(fake.host, { kind: 'identityToken', token: 'identity' }).hasBlob(DIGEST)
  const [asked] = tokens.asked
  assert.equal(asked?.method, 'POST')
  assert.equal(asked?.authorization, undefined)
  assert.deepEqual(Object.fromEntries(asked!.parameters), {
    grant_type: 'refresh_token',
    client_id: 'tintype',
    refresh_token: 'identity',
    service: 'fake',
    scope: PULL,
  })
  assert.ok(fake.seen.every(({ headers }) => !headers.authorization?.includes('identity')))
})

test('who will push asks for that from the first call on: Quay makes a repository for such a token only', async () => {
  const both = 'repository:some/thing:pull,push'
  await using tokens = await startTokenServer({
    answer: ({ parameters }, count) => (count === 1 && parameters.get('scope') !== both ? { status: 401 } : undefined),
  })
  await using fake = await startFakeRegistry(bearer(tokens, both))
  const target = openRegistryRepository({
    registry: fake.host,
    repository: 'some/thing',
    credentials: async () => ADA,
    plainHttp: true,
    isTarget: true,
  })
  assert.equal(await target.resolve('v1'), undefined)
  assert.equal(await target.checkBlob({ mediaType: '', digest: DIGEST, size: 6 }), false)
  assert.equal(tokens.asked.length, 1)
})

test('a token server that takes a request for a wrong one is not said to refuse the password', async () => {
  await using tokens = await startTokenServer({ answer: () => ({ status: 400, body: '{"details":"invalid scope"}' }) })
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  await assert.rejects(open(fake.host, ADA).hasBlob(DIGEST), {
    code: 'registry_denied',
    message: /gives no token for this repository \("invalid scope"\): check its name/,
  })
})

test('a mount asks for both scopes at once; denied, it goes on with the own one alone', async () => {
  await using tokens = await startTokenServer({
    answer: ({ parameters }) => (parameters.getAll('scope').length > 1 ? { status: 403 } : undefined),
  })
  await using fake = await startFakeRegistry(bearer(tokens, 'repository:some/thing:pull,push'))
  const [to, from] = [open(fake.host, ADA), open(fake.host, ADA, undefined, 'other/thing')]
  assert.equal(await to.mountBlob({ mediaType: '', digest: DIGEST, size: 6 }, from), false)
  const own = 'repository:some/thing:pull,push'
  assert.deepEqual(
    tokens.asked.map(({ parameters }) => parameters.getAll('scope')),
    [[own, 'repository:other/thing:pull'], [own], [own]],
    'the third is for the cancel of the upload that was offered',
  )
  assert.equal(fake.uploads.size, 0)
})

test('a wrong password is one clear sentence, and is tried once', async () => {
  await using tokens = await startTokenServer({
    answer: () => ({ status: 401, body: '{"details":"bad\\u0007 login"}' }),
  })
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  await assert.rejects(open(fake.host, ADA).hasBlob(DIGEST), {
    code: 'registry_denied',
    message: `${fake.host} does not accept the user name and password ("bad login"): run "tintype login ${fake.host}".`,
  })
  assert.equal(tokens.asked.length, 1)
})

test('a token server that stumbles is asked again', async () => {
  await using tokens = await startTokenServer({ answer: (_, count) => (count < 3 ? { status: 503 } : undefined) })
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  assert.equal(await open(fake.host, ADA).hasBlob(DIGEST), false)
  assert.equal(tokens.asked.length, 3)
})

const BROKEN = [
  ['no JSON', 'hello'],
  ['no token in it', '{"tokens":[]}'],
  ['a token with a line break', JSON.stringify({ token: 'a\r\nx-evil: 1' })],
  ['an empty token', '{"token":""}'],
] as const

for (const [why, body] of BROKEN)
  test(`the token server answers ${why}: refused`, async () => {
    await using tokens = await startTokenServer({ answer: () => ({ status: 200, body }) })
    await using fake = await startFakeRegistry(bearer(tokens, PULL))
    await assert.rejects(open(fake.host, ADA).hasBlob(DIGEST), { code: 'registry_refused', message: /no token/ })
  })

const REALMS = [
  ['http://169.254.169.254/latest/meta-data/', 'registry_untrusted', 'a metadata address'],
  ['http://[fe80::1]/token', 'registry_untrusted', 'a link-local address'],
  ['https://evil.example.com/token', 'registry_untrusted', 'another site'],
  ['http://user:password@127.0.0.1/token', 'registry_untrusted', 'a name in the address'],
  ['file:///etc/passwd', 'registry_untrusted', 'a file'],
  ['/token', 'registry_refused', 'no address'],
] as const

for (const [realm, code, why] of REALMS)
  test(`a realm that is ${why} gets no credentials`, async () => {
    await using fake = await startFakeRegistry({ challenge: () => `Bearer realm="${realm}",service="fake"` })
    let isAsked = false
    const repository = openRegistryRepository({
      registry: fake.host,
      repository: 'some/thing',
      plainHttp: true,
      credentials: async () => {
        isAsked = true
        return ADA
      },
    })
    await assert.rejects(repository.hasBlob(DIGEST), { code })
    assert.equal(isAsked, false)
  })

test('a registry that knows Basic only gets it, and a wrong one is not sent twice', async () => {
  await using fake = await startFakeRegistry({
    challenge: ({ headers }) => (headers.authorization === BASIC_ADA ? undefined : 'Basic realm="fake"'),
  })
  const repository = open(fake.host, ADA)
  assert.equal(await repository.hasBlob(DIGEST), false)
  assert.equal(await repository.hasBlob(DIGEST), false)
  assert.equal(fake.seen.length, 3, 'asked for once, then known')
  await assert.rejects(open(fake.host, { ...ADA, password: 'wrong' }).hasBlob(DIGEST), { code: 'registry_denied' })
  assert.equal(fake.seen.length, 5)
  await assert.rejects(open(fake.host, undefined).hasBlob(DIGEST), {
    code: 'registry_denied',
    message: /tintype login/,
  })
})

test('a registry that refuses every token is left after one renewal', async () => {
  await using tokens = await startTokenServer()
  await using fake = await startFakeRegistry({ challenge: () => `Bearer realm="${tokens.realm}"` })
  await assert.rejects(open(fake.host, ADA).hasBlob(DIGEST), { code: 'registry_denied' })
  assert.equal(tokens.asked.length, 1)
  assert.equal(fake.seen.length, 2)
})

test('credentials go to no other origin: not along a redirect, in no form', async () => {
  await using tokens = await startTokenServer()
  await using other = await startFakeRegistry()
  other.blobs.set(DIGEST, Buffer.from('a blob'))
  await using fake = await startFakeRegistry({
    ...bearer(tokens, PULL),
    after: (seen, answer) =>
      seen.path.includes('/blobs/') ? { status: 307, headers: { location: `${other.url}${seen.path}` } } : answer,
  })
  const descriptor = { mediaType: '', digest: DIGEST, size: 6 }
  const bytes = await Array.fromAsync(open(fake.host, ADA).openBlob(descriptor))
  assert.equal(Buffer.concat(bytes).toString(), 'a blob')
  assert.ok(fake.seen.at(-1)?.headers.authorization)
  assert.deepEqual(
    other.seen.map(({ headers }) => headers.authorization),
    [undefined],
  )
})

test('a token that was taken back is renewed while the token of another call is still being fetched', async () => {
  const push = 'repository:some/thing:pull,push'
  const silent = Promise.withResolvers<void>()
  await using tokens = await startTokenServer({
    answer: ({ parameters }, count) => {
      if (parameters.get('scope') !== push || count === 1) return undefined
      silent.resolve()
      return { status: 503, headers: { 'retry-after': '100' } }
    },
  })
  await using fake = await startFakeRegistry({
    challenge: (seen) =>
      tokens.grants(seen, PULL) ? undefined : `Bearer realm="${tokens.realm}",service="fake",scope="placeholder"`,
  })
  const waiting = Promise.withResolvers<void>()
  const repository = openRegistryRepository(
    { registry: fake.host, repository: 'some/thing', credentials: async () => ADA, plainHttp: true },
    { pace: { clock: systemClock, sleep: () => waiting.promise, random: () => 0.5 } },
  )
  await repository.hasBlob(DIGEST)
  const other = repository.mountBlob({ mediaType: '', digest: DIGEST, size: 6 }, repository).catch(() => {})
  await silent.promise
  tokens.revoke()
  assert.equal(await repository.hasBlob(DIGEST), false, 'it does not wait for the token of the mount')
  waiting.reject(new Error('over'))
  await other
})

test('a cancel while the token is on its way is a cancel', async () => {
  const cancel = new AbortController()
  await using tokens = await startTokenServer({
    answer: () => {
      cancel.abort()
      return undefined
    },
  })
  await using fake = await startFakeRegistry(bearer(tokens, PULL))
  await assert.rejects(open(fake.host, ADA).hasBlob(DIGEST, { signal: cancel.signal }), { code: 'cancelled' })
})
