import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { madeBlob } from '#lab/blobs.ts'
import { registryError, startFakeRegistry } from '#lab/fake-registry.ts'
import type { Answer, FakeRegistry, Seen } from '#lab/fake-registry.ts'
import { makeCertificate } from '#lab/registry.ts'
import { systemClock } from '#base/clock.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { openRegistryRepository } from './registry.ts'
import type { RegistryOptions, RegistryParts } from './registry.ts'
import type { Repository } from './repository.ts'

const pace = { clock: systemClock, sleep: async () => {}, random: () => 0.5 }

function open(
  fake: Pick<FakeRegistry, 'host'>,
  options: Partial<RegistryOptions> = {},
  parts: RegistryParts = {},
): Repository {
  const fixed = { registry: fake.host, repository: 'some/thing', credentials: async () => undefined, plainHttp: true }
  return openRegistryRepository({ ...fixed, ...options }, { pace, ...parts })
}

const MANIFEST = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, layers: [], config: {} }),
)
const DIGEST = digestOf(MANIFEST)
const CONTENT = randomBytes(300_000)
const BLOB = { mediaType: MEDIA_TYPES.ociLayerGzip, digest: digestOf(CONTENT), size: CONTENT.length }

const read = async (repository: Repository, descriptor: Descriptor = BLOB) =>
  Buffer.concat(await Array.fromAsync(repository.openBlob(descriptor)))

function fails(which: (seen: Seen) => boolean, answer: Answer) {
  return (seen: Seen) => (which(seen) ? answer : undefined)
}

const isManifest = ({ path }: Seen) => path.includes('/manifests/')
const isBlob = ({ path }: Seen) => path.includes('/blobs/sha256:')

// ——— manifests ———

test('a manifest is put, resolved and read', async () => {
  await using fake = await startFakeRegistry()
  const repository = open(fake)
  const descriptor = await repository.putManifest(MANIFEST, MEDIA_TYPES.ociManifest, { tag: 'v1' })
  assert.deepEqual(descriptor, { mediaType: MEDIA_TYPES.ociManifest, digest: DIGEST, size: MANIFEST.length })
  assert.deepEqual(await repository.resolve('v1'), descriptor)
  assert.deepEqual(await repository.resolve(DIGEST), descriptor)
  assert.deepEqual(await repository.getManifest('v1'), { descriptor, bytes: MANIFEST })
  assert.match(fake.seen[1]?.headers.accept ?? '', /oci\.image\.manifest.*oci\.image\.index.*docker.*docker/)
  assert.equal(repository.name, `${fake.host}/some/thing`)
})

test('a HEAD that says less than needed: the manifest itself tells', async () => {
  for (const headers of [{}, { 'docker-content-digest': 'sha512:ab' }]) {
    await using fake = await startFakeRegistry({
      before: fails((seen) => isManifest(seen) && seen.method === 'HEAD', { status: 200, headers }),
    })
    await open(fake).putManifest(MANIFEST, MEDIA_TYPES.ociManifest, { tag: 'v1' })
    assert.equal((await open(fake).resolve('v1'))?.digest, DIGEST)
  }
})

const READS: readonly (readonly [string, Answer, string, RegExp?])[] = [
  ['a manifest that is not there', registryError(404, 'MANIFEST_UNKNOWN'), 'image_not_found'],
  ['other bytes than the digest', { status: 200, body: '{}' }, 'digest_mismatch'],
  [
    'a header with another digest',
    { status: 200, headers: { 'docker-content-digest': digestOf('x') }, body: MANIFEST },
    'digest_mismatch',
  ],
  [
    'more than 4 MiB',
    { status: 200, body: Buffer.alloc(4 * 1024 * 1024 + 1, 32) },
    'registry_refused',
    /larger than 4 MiB/,
  ],
  [
    'one media type outside and another inside (CVE-2021-41190)',
    { status: 200, headers: { 'content-type': MEDIA_TYPES.ociIndex }, body: MANIFEST },
    'registry_refused',
    /ambiguous/,
  ],
  ['a refusal', registryError(403, 'DENIED', 'not yours'), 'registry_denied', /not yours/],
]

for (const [why, answer, code, message = /./] of READS)
  test(`getManifest meets ${why}: ${code}`, async () => {
    await using fake = await startFakeRegistry({ before: fails(isManifest, answer) })
    await assert.rejects(open(fake).getManifest(DIGEST), { code, message })
  })

test('a manifest that is image and index at once is refused', async () => {
  const body = JSON.stringify({ schemaVersion: 2, layers: [], config: {}, manifests: [] })
  await using fake = await startFakeRegistry({ before: fails(isManifest, { status: 200, body }) })
  await assert.rejects(open(fake).getManifest('v1'), { code: 'registry_refused', message: /ambiguous/ })
})

test('a manifest with a plain type is what it says inside', async () => {
  await using fake = await startFakeRegistry({
    before: fails(isManifest, {
      status: 200,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: MANIFEST,
    }),
  })
  assert.equal((await open(fake).getManifest('v1')).descriptor.mediaType, MEDIA_TYPES.ociManifest)
})

test('a digest in the HEAD of a digest must be that one', async () => {
  const headers = {
    'docker-content-digest': digestOf('x'),
    'content-type': MEDIA_TYPES.ociManifest,
    'content-length': '0',
  }
  await using fake = await startFakeRegistry({ before: fails(isManifest, { status: 200, headers }) })
  await assert.rejects(open(fake).resolve(DIGEST), { code: 'digest_mismatch' })
})

const OTHER = digestOf('other')
const PUTS: readonly (readonly [string, Answer, string, RegExp])[] = [
  [
    'distribution: a missing blob',
    registryError(400, 'MANIFEST_BLOB_UNKNOWN', 'blob unknown', { digest: OTHER }),
    'blob_missing',
    new RegExp(OTHER),
  ],
  [
    'a missing blob, told as text',
    registryError(404, 'BLOB_UNKNOWN', `no ${OTHER}`),
    'blob_missing',
    new RegExp(OTHER),
  ],
  [
    'ECR: the tag is immutable',
    registryError(
      400,
      'TAG_INVALID',
      "The image tag 'v1' already exists and cannot be overwritten because the repository is immutable.",
    ),
    'tag_exists',
    /v1 exists/,
  ],
  [
    'ECR, its own name for it',
    registryError(400, 'ImageTagAlreadyExistsException', ''),
    'tag_exists',
    /choose another tag/,
  ],
  [
    'Harbor: 412',
    registryError(412, 'PRECONDITION', "Failed to process request due to 'v1' configured as immutable."),
    'tag_exists',
    /v1/,
  ],
  ['Harbor: 409', { status: 409 }, 'tag_exists', /v1/],
  [
    'another refusal',
    registryError(400, 'MANIFEST_INVALID', 'bad config'),
    'registry_refused',
    /MANIFEST_INVALID "bad config"/,
  ],
  ['no permission', registryError(401, 'UNAUTHORIZED'), 'registry_denied', /tintype login/],
  ['too big for the proxy', { status: 413, body: '<html>' }, 'registry_refused', /413/],
  ['the registry is down', { status: 503 }, 'registry_unavailable', /503/],
]

for (const [why, answer, code, message] of PUTS)
  test(`putManifest meets ${why}: ${code}`, async () => {
    await using fake = await startFakeRegistry({ before: fails((seen) => seen.method === 'PUT', answer) })
    await assert.rejects(open(fake).putManifest(MANIFEST, MEDIA_TYPES.ociManifest, { tag: 'v1' }), { code, message })
  })

test('blob_missing names the digests for programs', async () => {
  const answer = registryError(400, 'MANIFEST_BLOB_UNKNOWN', '', { digest: OTHER })
  await using fake = await startFakeRegistry({ before: fails((seen) => seen.method === 'PUT', answer) })
  const put = open(fake).putManifest(MANIFEST, MEDIA_TYPES.ociManifest, { tag: 'v1' })
  await assert.rejects(put, { details: { registry: fake.host, digests: [OTHER] } })
})

test('an immutable tag that is at our digest already is success', async () => {
  await using fake = await startFakeRegistry({ before: fails((seen) => seen.method === 'PUT', { status: 409 }) })
  fake.manifests.set('some/thing:v1', { bytes: MANIFEST, mediaType: MEDIA_TYPES.ociManifest })
  const descriptor = await open(fake).putManifest(MANIFEST, MEDIA_TYPES.ociManifest, { tag: 'v1' })
  assert.equal(descriptor.digest, DIGEST)
})

test('the registry stored the manifest under another digest: refused', async () => {
  const headers = { 'docker-content-digest': OTHER }
  await using fake = await startFakeRegistry({ before: fails(isManifest, { status: 201, headers }) })
  await assert.rejects(open(fake).putManifest(MANIFEST, MEDIA_TYPES.ociManifest), { code: 'digest_mismatch' })
})

test('a tag that is a path is none', async () => {
  await using fake = await startFakeRegistry()
  for (const tag of ['../../x', 'a/b', '', 'x?y', '-x'])
    await assert.rejects(open(fake).resolve(tag), { code: 'reference_invalid' })
  assert.equal(fake.seen.length, 0)
})

// ——— blobs ———

test('a blob is read, and its digest checked', async () => {
  await using fake = await startFakeRegistry()
  fake.blobs.set(BLOB.digest, CONTENT)
  assert.deepEqual(await read(open(fake)), CONTENT)
  fake.blobs.set(BLOB.digest, randomBytes(CONTENT.length))
  await assert.rejects(read(open(fake)), { code: 'digest_mismatch' })
  fake.blobs.set(BLOB.digest, Buffer.concat([CONTENT, CONTENT]))
  await assert.rejects(read(open(fake)), { code: 'digest_mismatch' })
  fake.blobs.delete(BLOB.digest)
  await assert.rejects(read(open(fake)), {
    code: 'blob_missing',
    details: { registry: fake.host, digests: [BLOB.digest] },
  })
})

test('a blob that is too long gives no byte beyond its size', async () => {
  await using fake = await startFakeRegistry()
  fake.blobs.set(BLOB.digest, Buffer.concat([CONTENT, CONTENT]))
  let bytes = 0
  const reading = async () => {
    for await (const chunk of open(fake).openBlob(BLOB)) bytes += chunk.length
  }
  await assert.rejects(reading(), { code: 'digest_mismatch' })
  assert.ok(bytes <= BLOB.size)
})

for (const ranges of [true, false])
  test(`a download that is cut goes on where it broke, ${ranges ? 'with' : 'without'} ranges`, async () => {
    let isFirst = true
    await using fake = await startFakeRegistry({
      after: (seen, answer) => {
        if (!isBlob(seen)) return answer
        if (!isFirst) return ranges ? answer : { status: 200, body: CONTENT }
        isFirst = false
        // Less than is promised: the client waits for the rest, and the connection goes away.
        setImmediate(() => fake.cutConnections())
        return { ...answer, headers: { 'content-length': String(CONTENT.length) }, body: CONTENT.subarray(0, 100_000) }
      },
    })
    fake.blobs.set(BLOB.digest, CONTENT)
    assert.deepEqual(await read(open(fake)), CONTENT)
    assert.equal(fake.seen.length, 2)
  })

test('checkBlob: a byte must arrive', async () => {
  await using fake = await startFakeRegistry()
  const repository = open(fake)
  assert.equal(await repository.checkBlob(BLOB), false)
  fake.blobs.set(BLOB.digest, CONTENT)
  assert.equal(await repository.checkBlob(BLOB), true)
  assert.equal(fake.seen.at(-1)?.headers.range, 'bytes=0-0')
})

const CHECKS = [
  ['200 with everything, the range ignored', { status: 200, body: Buffer.alloc(2_000_000) }, true],
  ['200 with no byte at all (attacks.md A10)', { status: 200 }, false],
  ['206 with no byte', { status: 206 }, false],
  ['416: there is no first byte', { status: 416 }, false],
] as const

for (const [why, answer, expected] of CHECKS)
  test(`checkBlob meets ${why}: ${expected}`, async () => {
    await using fake = await startFakeRegistry({ before: fails(isBlob, answer) })
    assert.equal(await open(fake).checkBlob(BLOB), expected)
  })

test('checkBlob by who may not read: the registry is asked whether it is there, and a notice says so', async () => {
  await using fake = await startFakeRegistry({
    before: fails((seen) => isBlob(seen) && seen.method === 'GET', registryError(403, 'DENIED', 'push only')),
  })
  const repository = open(fake)
  assert.equal(await repository.checkBlob(BLOB), false)
  assert.deepEqual(repository.notices, [])
  fake.blobs.set(BLOB.digest, CONTENT)
  assert.equal(await repository.checkBlob(BLOB), true)
  assert.match(repository.notices.join(), /does not let us read blobs/)
})

test('checkBlob meets storage that denies: what the registry has not is not there, else it is told', async () => {
  await using storage = await startFakeRegistry({
    before: () => ({ status: 403, body: '<Error>AccessDenied</Error>' }),
  })
  const headers = { location: `${storage.url}/bucket/blob` }
  await using fake = await startFakeRegistry({
    before: fails((seen) => isBlob(seen) && seen.method === 'GET', { status: 307, headers }),
  })
  assert.equal(await open(fake).checkBlob(BLOB), false, 'the registry has not got it either')
  fake.blobs.set(BLOB.digest, CONTENT)
  const host = new URL(storage.url).host
  await assert.rejects(open(fake).checkBlob(BLOB), { code: 'registry_denied', message: new RegExp(`${host}.*403`) })
  assert.equal(storage.seen.length, 2)
})

test('checkBlob of an empty blob: it is known', async () => {
  await using fake = await startFakeRegistry()
  const empty = { mediaType: MEDIA_TYPES.ociLayer, digest: digestOf(''), size: 0 }
  assert.equal(await open(fake).checkBlob(empty), false)
  fake.blobs.set(empty.digest, Buffer.alloc(0))
  assert.equal(await open(fake).checkBlob(empty), true)
  assert.equal((await read(open(fake), empty)).length, 0)
})

test('a blob that is at another https host is fetched there, without credentials; at a plain one it is not', async () => {
  await using fake = await startFakeRegistry({
    before: fails(isBlob, { status: 307, headers: { location: 'http://bucket.example.com/x?sig=secret' } }),
  })
  await assert.rejects(read(open(fake)), (error: Error) => {
    assert.equal('code' in error && error.code, 'registry_untrusted')
    assert.doesNotMatch(error.message, /secret/)
    return true
  })
})

test('redirects without end are left', async () => {
  await using fake = await startFakeRegistry({
    before: (seen) => (isBlob(seen) ? { status: 302, headers: { location: seen.path } } : undefined),
  })
  await assert.rejects(read(open(fake)), { code: 'registry_refused', message: /without end/ })
  assert.equal(fake.seen.length, 6)
})

// ——— mounts ———

const MOUNTS = [
  ['201: taken over', { status: 201 }, true],
  [
    '202: an upload instead, which is cancelled',
    { status: 202, headers: { location: '/v2/some/thing/blobs/uploads/u' } },
    false,
  ],
  ['401: Harbor, from a project that is not there', registryError(401, 'UNAUTHORIZED'), false],
  ['403', registryError(403, 'DENIED'), false],
  ['404', registryError(404, 'BLOB_UNKNOWN'), false],
  ['405', registryError(405, 'UNSUPPORTED'), false],
  ['500, five times', registryError(500, 'UNKNOWN'), false],
] as const

for (const [why, answer, expected] of MOUNTS)
  test(`mountBlob is answered ${why}: ${expected}`, async () => {
    await using fake = await startFakeRegistry({ before: fails((seen) => seen.query.includes('mount='), answer) })
    assert.equal(await open(fake).mountBlob(BLOB, open(fake, { repository: 'base/image' })), expected)
    assert.match(fake.seen[0]?.query ?? '', /^mount=sha256%3A[0-9a-f]+&from=base%2Fimage$/)
    const deleted = fake.asked().filter((asked) => asked === 'DELETE /v2/some/thing/blobs/uploads/u')
    assert.equal(deleted.length, answer.status === 202 ? 1 : 0)
  })

test('a mount from another registry is not even asked for', async () => {
  await using fake = await startFakeRegistry()
  const elsewhere = open({ host: 'registry.example.com' }, { plainHttp: undefined })
  assert.equal(await open(fake).mountBlob(BLOB, elsewhere), false)
  assert.equal(await open(fake).mountBlob(BLOB, { ...open(fake) }), false)
  assert.equal(fake.seen.length, 0)
})

// ——— where a registry is ———

test('loopback is spoken to in plain HTTP, unless it speaks TLS', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-probe-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const { certificate, keyPath } = await makeCertificate(directory)
  await using plain = await startFakeRegistry()
  await using secure = await startFakeRegistry({ tls: { cert: certificate, key: readFileSync(keyPath, 'utf8') } })
  assert.equal(await open(plain, { plainHttp: undefined }).hasBlob(BLOB.digest), false)
  const trusting = open(secure, { plainHttp: undefined, ca: certificate })
  assert.equal(await trusting.hasBlob(BLOB.digest), false)
  assert.equal(await trusting.hasBlob(BLOB.digest), false)
  assert.equal(secure.asked().filter((asked) => asked === 'GET /v2/').length, 1, 'it is found out once')
  const untrusting = open(secure, { plainHttp: undefined }).hasBlob(BLOB.digest)
  await assert.rejects(untrusting, { code: 'registry_unavailable', message: /certificate/ })
})

test('a registry that is not on loopback is never spoken to in plain HTTP unasked', async () => {
  await using fake = await startFakeRegistry()
  const port = fake.host.split(':')[1]
  const lookup = async () => [{ address: '127.0.0.1', family: 4 }]
  const named = (options: Partial<RegistryOptions>) =>
    open({ host: `registry.example.com:${port}` }, options, { lookup })
  const unasked = named({ plainHttp: undefined }).hasBlob(BLOB.digest)
  await assert.rejects(unasked, { code: 'registry_unavailable', message: /does not speak TLS: write http:\/\// })
  assert.equal(fake.seen.length, 0)
  assert.equal(await named({ plainHttp: true }).hasBlob(BLOB.digest), false)
})

test('docker.io is at registry-1.docker.io; credentials are asked for docker.io', async () => {
  const hosts: string[] = []
  const lookup = async (host: string) => {
    hosts.push(host)
    throw Object.assign(new Error('offline'), { code: 'ENOTFOUND' })
  }
  const hub = openRegistryRepository(
    { registry: 'docker.io', repository: 'library/python', credentials: async () => undefined },
    { pace, lookup },
  )
  assert.equal(hub.name, 'docker.io/library/python')
  await assert.rejects(hub.resolve('3.12'), { code: 'registry_unavailable', message: /registry-1\.docker\.io/ })
  assert.deepEqual(hosts, ['registry-1.docker.io'])
})

test('a registry that is not there is said to be so at once', async () => {
  const fake = await startFakeRegistry()
  await fake[Symbol.asyncDispose]()
  const waits: number[] = []
  const counting = { ...pace, sleep: async (ms: number) => void waits.push(ms) }
  const asked = open(fake, {}, { pace: counting }).resolve('v1')
  await assert.rejects(asked, { code: 'registry_unavailable', message: /nothing listens there/ })
  assert.deepEqual(waits, [])
})

test('names that are none are refused before anything is sent', () => {
  for (const registry of ['', 'a/b', 'user@host', 'host?x', 'a b'])
    assert.throws(() => open({ host: registry }), { code: 'reference_invalid' }, registry)
  for (const repository of ['', 'Upper', '../x', 'a//b', 'a/', '-a', 'a?b', 'a'.repeat(256)])
    assert.throws(() => open({ host: 'r' }, { repository }), { code: 'reference_invalid' }, repository)
})

test('an upload way that a host likes is remembered for the next repository of it', async () => {
  await using fake = await startFakeRegistry({
    before: (seen) => (seen.method === 'PATCH' ? registryError(405, 'UNSUPPORTED') : undefined),
  })
  await open(fake).pushBlob(madeBlob(CONTENT))
  await open(fake, { repository: 'next' }).pushBlob(madeBlob(randomBytes(1000)))
  assert.equal(fake.seen.filter(({ method }) => method === 'PATCH').length, 1)
})
