import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { growingBlob, madeBlob } from '#lab/blobs.ts'
import { registryError, startFakeRegistry, startTokenServer } from '#lab/fake-registry.ts'
import type { Answer, Cut, FakeOptions, FakeRegistry, Seen } from '#lab/fake-registry.ts'
import { systemClock } from '#base/clock.ts'
import { digestOf } from '#oci/digest.ts'
import { openRegistryRepository } from './registry.ts'
import type { RegistryOptions } from './registry.ts'
import type { BlobSource } from './repository.ts'
import { freshMemory, type HostMemory } from './strategy.ts'

const MIB = 1024 * 1024
const CONTENT = randomBytes(3 * MIB + 12_345)
const SMALL_CHUNKS = { strategy: 'chunked', chunkBytes: MIB } as const

function open(fake: FakeRegistry, memory: Partial<HostMemory> = {}, options: Partial<RegistryOptions> = {}) {
  const waits: number[] = []
  const learnt = { ...freshMemory(), ...memory }
  const pace = { clock: systemClock, sleep: async (ms: number) => void waits.push(ms), random: () => 0.5 }
  const repository = openRegistryRepository(
    { registry: fake.host, repository: 'some/thing', credentials: async () => undefined, plainHttp: true, ...options },
    { pace, memory: learnt },
  )
  return { repository, waits, learnt }
}

const isPatch = ({ method }: Seen) => method === 'PATCH'
const count = (fake: FakeRegistry, method: string) => fake.seen.filter((seen) => seen.method === method).length

/** An option that works on the n-th request (1, 2, …) of those that `which` chooses. */
function onNth<T>(n: number, which: (seen: Seen) => boolean, then: (seen: Seen) => T) {
  let found = 0
  return (seen: Seen) => (which(seen) && ++found === n ? then(seen) : undefined)
}

function changed(which: (seen: Seen) => boolean, change: (answer: Answer, seen: Seen) => Partial<Answer>) {
  return (seen: Seen, answer: Answer) => (which(seen) ? { ...answer, ...change(answer, seen) } : answer)
}

const refuse = (status: number, code = 'UNKNOWN', message = '') => registryError(status, code, message)

interface Row extends FakeOptions {
  readonly memory?: Partial<HostMemory>
  /** Which way it is in the end. */
  readonly learns?: Partial<HostMemory>
  /** How many requests of each kind it takes. */
  readonly sessions?: number
  readonly patches?: number
  readonly puts?: number
}

/** Each line is an oddity of a registry; the blob must arrive whole in spite of it. */
const ODDITIES: Record<string, Row> = {
  'nothing odd: one POST, one PATCH, one PUT': { sessions: 1, learns: { strategy: 'stream' } },
  'ECR answers 201 to a PATCH': { after: changed(isPatch, () => ({ status: 201 })), sessions: 1 },
  'a PATCH is answered by 200': { after: changed(isPatch, () => ({ status: 200 })), sessions: 1 },
  'ECR: Range stays at the first chunk': {
    memory: SMALL_CHUNKS,
    after: changed(isPatch, ({ headers }) => ({ headers: { ...headers, range: '0-1048575' } })),
    sessions: 1,
  },
  'zot: Range is wrong': {
    memory: SMALL_CHUNKS,
    after: changed(isPatch, ({ headers }) => ({ headers: { ...headers, range: 'bytes=17-4' } })),
    sessions: 1,
  },
  'ECR: status of an upload is 404, a cut one begins anew': {
    before: (() => {
      const cut = onNth(1, isPatch, (): Cut => ({ cutAfterBytes: 100_000 }))
      return (seen) => cut(seen) ?? (seen.method === 'GET' ? refuse(404, 'BLOB_UPLOAD_UNKNOWN') : undefined)
    })(),
    sessions: 2,
  },
  'a cut stream goes on where the registry is': {
    before: onNth(1, isPatch, (): Cut => ({ cutAfterBytes: 100_000 })),
    sessions: 1,
  },
  'the registry counts more than it has: the digest is wrong, the upload begins anew': {
    before: onNth(1, isPatch, (): Cut => ({ cutAfterBytes: 100_000 })),
    after: changed(
      ({ method, path }) => method === 'GET' && path.includes('/uploads/'),
      ({ headers }) => ({ headers: { ...headers, range: '0-100004' } }),
    ),
    sessions: 2,
  },
  'the registry counts more than was sent: it is not believed': {
    before: onNth(1, isPatch, (): Cut => ({ cutAfterBytes: 100_000 })),
    after: changed(
      ({ method, path }) => method === 'GET' && path.includes('/uploads/'),
      ({ headers }) => ({ headers: { ...headers, range: `0-${CONTENT.length - 1}` } }),
    ),
    sessions: 2,
    patches: 2,
    puts: 1,
  },
  'ECR: an empty PUT after several chunks is 500, the last chunk goes with it': {
    memory: SMALL_CHUNKS,
    before: (seen) => (seen.method === 'PUT' && seen.headers['content-length'] === '0' ? refuse(500) : undefined),
    learns: { isLastChunkInFinish: true },
    sessions: 2,
  },
  'GHCR: 416 to a chunk of more than 4 MiB (here 1 MiB), smaller ones are taken': {
    memory: { strategy: 'chunked', chunkBytes: 4 * MIB },
    before: (seen) => (isPatch(seen) && Number(seen.headers['content-length']) > MIB ? refuse(416) : undefined),
    learns: { chunkBytes: MIB },
    sessions: 1,
  },
  'GAR: no chunks at all, everything in one PUT': {
    memory: SMALL_CHUNKS,
    before: (seen) => (seen.headers['content-range'] ? refuse(400, 'UNSUPPORTED', 'chunked upload') : undefined),
    learns: { strategy: 'monolithic' },
    sessions: 2,
  },
  'nginx: 413 to a long body, then to chunks of more than 1 MiB': {
    memory: { chunkBytes: 2 * MIB },
    before: (seen) =>
      isPatch(seen) && Number(seen.headers['content-length'] ?? Infinity) > MIB
        ? { status: 413, body: '<html>' }
        : undefined,
    learns: { strategy: 'chunked', chunkBytes: MIB },
    sessions: 2,
  },
  'Cloudflare: 524 to a long body': {
    before: (seen) => (isPatch(seen) && !seen.headers['content-range'] ? { status: 524, body: '<html>' } : undefined),
    learns: { strategy: 'chunked' },
    sessions: 2,
  },
  'a proxy wants a length: 411': {
    before: (seen) => (isPatch(seen) && !seen.headers['content-length'] ? { status: 411 } : undefined),
    learns: { strategy: 'chunked' },
    sessions: 2,
  },
  'a proxy cuts every long body': {
    before: (seen) => (isPatch(seen) && !seen.headers['content-range'] ? { cutAfterBytes: 50_000 } : undefined),
    learns: { strategy: 'chunked' },
    sessions: 2,
  },
  'a front end loses every body without a length, and says yes to it': {
    before: loses(({ headers }) => headers['content-length'] === undefined),
    learns: { strategy: 'chunked' },
    sessions: 3,
  },
  'a front end loses the body of every PATCH': {
    memory: SMALL_CHUNKS,
    before: loses(() => true),
    learns: { strategy: 'monolithic' },
    sessions: 3,
  },
  'a registry stumbles over every long body: 500': {
    before: (seen) => (isPatch(seen) && !seen.headers['content-range'] ? refuse(500) : undefined),
    learns: { strategy: 'chunked' },
    sessions: 3,
  },
  'an answer of success before the body has arrived is none': {
    before: onNth(1, isPatch, () => ({ status: 202 })),
    sessions: 2,
    puts: 1,
  },
  'no PATCH at all: 405': {
    before: (seen) => (isPatch(seen) ? refuse(405, 'UNSUPPORTED') : undefined),
    learns: { strategy: 'monolithic' },
    sessions: 2,
  },
  'the session is forgotten on the way: 404': {
    before: onNth(1, isPatch, () => refuse(404, 'BLOB_UPLOAD_UNKNOWN')),
    sessions: 2,
  },
  'the registry stumbles at the first POST: 503': {
    before: onNth(
      1,
      ({ method }) => method === 'POST',
      () => refuse(503),
    ),
    sessions: 2,
  },
  'the registry stumbles at the PUT: 502': {
    before: onNth(
      1,
      ({ method }) => method === 'PUT',
      () => refuse(502),
    ),
    sessions: 1,
  },
  'a chunk is cut': {
    memory: SMALL_CHUNKS,
    before: onNth(2, isPatch, (): Cut => ({ cutAfterBytes: 500_000 })),
    sessions: 1,
  },
  'Location is relative to the path': {
    after: (_, answer) => withLocation(answer, (location) => location.replace('/v2/some/thing/blobs/uploads/', './')),
    sessions: 1,
  },
}

/** As if the bodies of these PATCHes had not come: then the digest is wrong. */
function loses(which: (seen: Seen) => boolean): NonNullable<FakeOptions['before']> {
  let isLost = false
  return (seen) => {
    if (isPatch(seen)) isLost = which(seen)
    return seen.method === 'PUT' && isLost && seen.query.includes('digest') && seen.headers['content-length'] === '0'
      ? refuse(400, 'DIGEST_INVALID')
      : undefined
  }
}

function withLocation(answer: Answer, change: (location: string) => string): Answer {
  const location = answer.headers?.['location']
  return location?.includes('/uploads/')
    ? { ...answer, headers: { ...answer.headers, location: change(location) } }
    : answer
}

for (const [name, { memory, learns = {}, sessions, patches, puts, ...options }] of Object.entries(ODDITIES)) {
  test(name, async () => {
    await using fake = await startFakeRegistry(options)
    const { repository, learnt } = open(fake, memory)
    const progress: number[] = []
    const descriptor = await repository.pushBlob(growingBlob(CONTENT), { onProgress: (sent) => progress.push(sent) })
    assert.deepEqual(fake.blobs.get(descriptor.digest), CONTENT)
    assert.equal(progress.at(-1), CONTENT.length)
    assert.deepEqual({ ...learnt, ...learns }, learnt)
    if (sessions) assert.equal(count(fake, 'POST'), sessions)
    if (patches) assert.equal(count(fake, 'PATCH'), patches)
    if (puts) assert.equal(count(fake, 'PUT'), puts)
    assert.equal(fake.uploads.size, 0, 'no session is left behind')
  })
}

test('Location is absolute: it is followed, its query as it is, the digest behind it', async () => {
  const options: { url: string } = { url: '' }
  await using fake = await startFakeRegistry({
    after: (_, answer) => withLocation(answer, (location) => `${options.url}${location}`),
  })
  options.url = fake.url
  const { digest } = await open(fake).repository.pushBlob(madeBlob(CONTENT))
  const put = fake.seen.find(({ method }) => method === 'PUT')
  assert.equal(put?.query, `_state=a%20b+1==&digest=${encodeURIComponent(digest)}`)
})

test('the connection is cut at any byte of a stream: the blob arrives', async () => {
  const content = randomBytes(200_000)
  for (const cutAfterBytes of [0, 1, 2, 1000, 65_535, 65_536, 65_537, 131_072, 199_999, 200_000]) {
    await using fake = await startFakeRegistry({ before: onNth(1, isPatch, () => ({ cutAfterBytes })) })
    const { digest } = await open(fake).repository.pushBlob(growingBlob(content))
    assert.deepEqual(fake.blobs.get(digest), content, `cut after ${cutAfterBytes}`)
    assert.equal(fake.uploads.size, 0)
  }
})

test('the n-th request is cut, for each n: the blob arrives, or nothing is left', async () => {
  for (const strategy of ['stream', 'chunked', 'monolithic'] as const) {
    let isCut = true
    for (let n = 1; isCut; n++) {
      isCut = false
      const before = onNth(
        n,
        () => true,
        (): Cut => {
          isCut = true
          return { cutAfterBytes: 0 }
        },
      )
      await using fake = await startFakeRegistry({ before })
      const { digest } = await open(fake, { strategy, chunkBytes: MIB }).repository.pushBlob(madeBlob(CONTENT))
      assert.deepEqual(fake.blobs.get(digest), CONTENT, `${strategy}, request ${n}`)
    }
  }
})

test('the answer to the PUT is lost: the blob is found, not sent again', async () => {
  await using fake = await startFakeRegistry({
    before: (seen) => {
      if (seen.method !== 'PUT' || fake.blobs.size > 0) return undefined
      fake.blobs.set(digestOf(CONTENT), CONTENT)
      return { cutAfterBytes: 0 }
    },
  })
  await open(fake).repository.pushBlob(growingBlob(CONTENT))
  assert.equal(count(fake, 'PATCH'), 1)
})

test('a registry that cuts always is given up, after a bounded number of tries', async () => {
  await using fake = await startFakeRegistry({ before: (seen) => (isPatch(seen) ? { cutAfterBytes: 10 } : undefined) })
  const { repository, waits } = open(fake)
  await assert.rejects(repository.pushBlob(madeBlob(CONTENT)), { code: 'registry_unavailable' })
  assert.ok(count(fake, 'PATCH') <= 30, `${count(fake, 'PATCH')} PATCHes`)
  assert.ok(waits.length > 4 && waits.every((ms) => ms <= 10_000))
})

test('429 with Retry-After: it is waited for as long as asked', async () => {
  const busy = { ...refuse(429, 'TOOMANYREQUESTS'), headers: { 'retry-after': '7' } }
  await using fake = await startFakeRegistry({ before: onNth(1, isPatch, () => busy) })
  const { repository, waits } = open(fake)
  await repository.pushBlob(madeBlob(CONTENT))
  assert.deepEqual(waits, [7500])
})

test('429 with a Retry-After of hours is not waited for', async () => {
  const busy = { ...refuse(429, 'TOOMANYREQUESTS', 'pull limit'), headers: { 'retry-after': '21600' } }
  await using fake = await startFakeRegistry({ before: (seen) => (seen.method === 'POST' ? busy : undefined) })
  const { repository, waits } = open(fake)
  await assert.rejects(repository.pushBlob(growingBlob(CONTENT)), {
    code: 'registry_unavailable',
    message: /pull limit/,
  })
  assert.deepEqual(waits, [])
})

test('OCI-Chunk-Min-Length is honoured', async () => {
  await using fake = await startFakeRegistry({
    after: changed(
      ({ method }) => method === 'POST',
      ({ headers }) => ({ headers: { ...headers, 'oci-chunk-min-length': String(2 * MIB) } }),
    ),
  })
  await open(fake, SMALL_CHUNKS).repository.pushBlob(madeBlob(CONTENT))
  assert.deepEqual(
    fake.seen.filter(isPatch).map(({ headers }) => headers['content-range']),
    [`0-${2 * MIB - 1}`, `${2 * MIB}-${CONTENT.length - 1}`],
  )
})

test('a registry that wants longer chunks than are held in memory gets everything in one', async () => {
  await using fake = await startFakeRegistry({
    after: changed(
      ({ method }) => method === 'POST',
      ({ headers }) => ({ headers: { ...headers, 'oci-chunk-min-length': String(2 ** 40) } }),
    ),
  })
  const { repository } = open(fake, SMALL_CHUNKS)
  await repository.pushBlob(madeBlob(CONTENT))
  assert.equal(fake.seen.filter(isPatch).length, 0)
  assert.deepEqual([...fake.blobs.values()], [CONTENT])
})

test('the token ends in the middle of an upload: it is renewed once, and the upload goes on in the same session', async () => {
  await using tokens = await startTokenServer()
  await using fake = await startFakeRegistry({
    before: onNth(1, isPatch, () => {
      tokens.revoke()
      return undefined
    }),
    challenge: (seen) =>
      tokens.grants(seen, 'repository:some/thing:pull,push')
        ? undefined
        : `Bearer realm="${tokens.realm}",service="fake"`,
  })
  const { digest } = await open(fake).repository.pushBlob(madeBlob(CONTENT))
  assert.deepEqual(fake.blobs.get(digest), CONTENT)
  assert.equal(tokens.asked.length, 2)
  assert.equal(fake.seen.filter(({ method, headers }) => method === 'POST' && headers.authorization).length, 1)
})

test('the making of a blob fails: its error comes out, and the session is cancelled', async () => {
  for (const strategy of ['stream', 'chunked'] as const) {
    await using fake = await startFakeRegistry()
    const failure = new Error('the disk is gone')
    const made = Promise.withResolvers<never>()
    const blob: BlobSource = {
      descriptor: made.promise,
      async *open() {
        yield CONTENT.subarray(0, 100_000)
        made.reject(failure)
        throw failure
      },
    }
    const push = open(fake, { strategy, chunkBytes: 50_000 }).repository.pushBlob(blob)
    await assert.rejects(push, (error: Error) => error.cause === failure)
    assert.equal(count(fake, 'DELETE'), 1)
    assert.equal(fake.uploads.size, 0)
  }
})

test('cancel in the middle: the session is deleted, and nothing is sent after it', async () => {
  for (const strategy of ['stream', 'chunked'] as const) {
    const cancel = new AbortController()
    await using fake = await startFakeRegistry({ onPiece: async () => cancel.abort() })
    const { repository } = open(fake, { strategy, chunkBytes: MIB })
    const push = repository.pushBlob(growingBlob(CONTENT), { signal: cancel.signal })
    await assert.rejects(push, { code: 'cancelled' })
    assert.equal(fake.seen.at(-1)?.method, 'DELETE')
    assert.equal(fake.blobs.size, 0)
  }
})

test('403 to an upload: one sentence, who and what to do; no second try', async () => {
  await using fake = await startFakeRegistry({
    before: (seen) => (isPatch(seen) ? refuse(403, 'DENIED', 'read-only user') : undefined),
  })
  const { repository, waits } = open(fake)
  await assert.rejects(repository.pushBlob(madeBlob(CONTENT)), {
    code: 'registry_denied',
    message: `${fake.host} does not let us upload a blob in ${fake.host}/some/thing (403 DENIED "read-only user"): run "tintype login ${fake.host}" with an account that may do so.`,
  })
  assert.deepEqual(waits, [])
  assert.equal(fake.uploads.size, 0)
})

test('ECR: the repository must be there first, and the message says so', async () => {
  await using fake = await startFakeRegistry({
    before: (seen) => (seen.method === 'POST' ? refuse(404, 'NAME_UNKNOWN', 'no such repository') : undefined),
  })
  const push = open(fake).repository.pushBlob(growingBlob(CONTENT))
  await assert.rejects(push, { code: 'registry_refused', message: /NAME_UNKNOWN.*create the repository first/ })
})

test('the registry stored another digest: refused', async () => {
  await using fake = await startFakeRegistry({
    after: changed(
      ({ method }) => method === 'PUT',
      ({ headers }) => ({ headers: { ...headers, 'docker-content-digest': digestOf('other') } }),
    ),
  })
  await assert.rejects(open(fake).repository.pushBlob(madeBlob(CONTENT)), { code: 'digest_mismatch' })
})

test('a blob whose digest is known and there is not sent', async () => {
  await using fake = await startFakeRegistry()
  fake.blobs.set(digestOf(CONTENT), CONTENT)
  await open(fake).repository.pushBlob(madeBlob(CONTENT))
  assert.deepEqual(fake.asked(), [`GET /v2/some/thing/blobs/${digestOf(CONTENT)}`])
})

test('an empty blob arrives', async () => {
  await using fake = await startFakeRegistry()
  const { digest, size } = await open(fake).repository.pushBlob(madeBlob(Buffer.alloc(0)))
  assert.equal(size, 0)
  assert.equal(fake.blobs.get(digest)?.length, 0)
})

test('a slow registry slows the source: what waits in between is bounded', async () => {
  const pieces = 640
  let [made, arrived, most] = [0, 0, 0]
  await using fake = await startFakeRegistry({
    onPiece: async (bytes) => {
      arrived = bytes
      await new Promise(setImmediate)
    },
  })
  const content = Buffer.alloc(pieces * 100_000, 7)
  const whole = madeBlob(content, 100_000)
  const blob: BlobSource = {
    descriptor: whole.descriptor,
    async *open() {
      for await (const piece of whole.open()) {
        made += piece.length
        most = Math.max(most, made - arrived)
        yield piece
      }
    },
  }
  await open(fake).repository.pushBlob(blob)
  // The kernel's buffers at both ends of a loopback connection hold about 10 MB.
  assert.ok(most < 20_000_000, `${most} bytes were on their way`)
})

test('a Location on another site is refused; on a listed one it gets the bytes, and no credentials', async () => {
  await using other = await startFakeRegistry({ before: () => undefined })
  await using fake = await startFakeRegistry({
    challenge: ({ headers }) => (headers.authorization ? undefined : 'Basic realm="fake"'),
    after: (_, answer) =>
      withLocation(answer, () => `http://localhost:${other.host.split(':')[1]}/v2/some/thing/blobs/uploads/x?_state=y`),
  })
  const credentials = async () => ({ kind: 'basic', username: 'ada', password: 'secret' }) as const
  const untrusted = open(fake, {}, { credentials }).repository.pushBlob(growingBlob(CONTENT))
  await assert.rejects(untrusted, {
    code: 'registry_untrusted',
    message: /another site: list that host in TINTYPE_TRUSTED_HOSTS/,
  })
  assert.equal(other.seen.length, 0)
  const listed = open(fake, {}, { credentials, trustedHosts: ['localhost'] }).repository
  await assert.rejects(listed.pushBlob(growingBlob(CONTENT))) // it knows no such upload
  assert.ok(other.seen.length > 0)
  assert.ok(other.seen.every(({ headers }) => headers.authorization === undefined))
})

test('a Location at a metadata address is refused before anything is sent there', async () => {
  await using fake = await startFakeRegistry({
    after: (_, answer) => withLocation(answer, () => 'http://169.254.169.254/latest/meta-data/'),
  })
  const { repository } = open(fake, {}, { trustedHosts: ['169.254.169.254'] })
  await assert.rejects(repository.pushBlob(growingBlob(CONTENT)), { code: 'registry_untrusted', message: /metadata/ })
})

test('a Warning of the registry is told, once', async () => {
  await using fake = await startFakeRegistry({
    after: (_, answer) => ({
      ...answer,
      headers: { ...answer.headers, warning: '299 - "This repository \\"thing\\" moves."' },
    }),
  })
  const { repository } = open(fake)
  await repository.pushBlob(madeBlob(CONTENT))
  assert.deepEqual(repository.notices, [`${fake.host} says: This repository "thing" moves.`])
})

test('cookies that the registry sets are not sent back', async () => {
  await using fake = await startFakeRegistry({
    after: (_, answer) => ({ ...answer, headers: { ...answer.headers, 'set-cookie': 'session=1; Path=/' } }),
  })
  await open(fake).repository.pushBlob(madeBlob(CONTENT))
  assert.ok(fake.seen.length > 2)
  assert.deepEqual(
    fake.seen.filter(({ headers }) => headers.cookie !== undefined),
    [],
  )
})

test('a piece that a refused try still waits for does not count for the next one', async () => {
  const before = (seen: Seen) => (isPatch(seen) && !seen.headers['content-length'] ? { status: 411 } : undefined)
  await using fake = await startFakeRegistry({ before })
  const bothWait = Promise.withResolvers<void>()
  let waiting = 0
  const blob: BlobSource = {
    ...madeBlob(CONTENT),
    async *open() {
      yield CONTENT.subarray(0, 1000)
      if (++waiting === 2) bothWait.resolve()
      await bothWait.promise // the source makes nothing until the stream has been refused
      yield CONTENT.subarray(1000)
    },
  }
  const { digest } = await open(fake).repository.pushBlob(blob)
  assert.equal(waiting, 2)
  assert.deepEqual(fake.blobs.get(digest), CONTENT)
})
