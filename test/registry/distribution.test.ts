/** The registry client against real registries: one suite, and what only distribution can show. */
import assert from 'node:assert/strict'
import { X509Certificate, createPrivateKey, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, describe, test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { growingBlob } from '#lab/blobs.ts'
import { startTokenServer } from '#lab/fake-registry.ts'
import { makeCertificate, startRegistry, startSecondRegistry } from '#lab/registry.ts'
import type { DistributionRegistry, Registry } from '#lab/registry.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { openRegistryRepository } from '#registry/registry.ts'
import type { RegistryOptions } from '#registry/registry.ts'
import type { BlobSource, Repository } from '#registry/repository.ts'
import { freshMemory } from '#registry/strategy.ts'
import type { Strategy } from '#registry/strategy.ts'

const open = (registry: Registry, repository: string, options: Partial<RegistryOptions> = {}) =>
  openRegistryRepository({ registry: registry.host, repository, credentials: async () => undefined, ...options })

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(bytes))
}

/** Push an image with one layer; its manifest's bytes and layer. */
async function pushImage(to: Repository, tag: string, content: Buffer) {
  const layer = await to.pushBlob(growingBlob(content))
  const config = await to.pushBlob(growingBlob(Buffer.from(JSON.stringify({ os: 'linux', tag }))))
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { ...config, mediaType: MEDIA_TYPES.ociConfig },
      layers: [layer],
    }),
  )
  return { layer, manifest, descriptor: await to.putManifest(manifest, MEDIA_TYPES.ociManifest, { tag }) }
}

interface Implementation {
  readonly start: () => Promise<Registry>
  /** Whether it can take a blob over from another repository. */
  readonly canMount: boolean
}

/** What every registry must do with us. */
function suite(name: string, { start, canMount }: Implementation) {
  describe(name, async () => {
    const registry = await start()
    after(() => registry.stop())

    for (const strategy of ['stream', 'chunked', 'monolithic'] satisfies Strategy[]) {
      test(`a blob of unknown length arrives whole (${strategy})`, async () => {
        const memory = { ...freshMemory(), strategy, chunkBytes: 1024 * 1024 }
        const to = openRegistryRepository(
          { registry: registry.host, repository: `whole/${strategy}`, credentials: async () => undefined },
          { memory },
        )
        const content = randomBytes(3_500_000)
        const sent: number[] = []
        const descriptor = await to.pushBlob(growingBlob(content), { onProgress: (bytes) => sent.push(bytes) })
        assert.equal(descriptor.digest, digestOf(content))
        assert.deepEqual(await collect(to.openBlob(descriptor)), content)
        assert.equal(sent.at(-1), content.length)
        assert.equal(memory.strategy, strategy, 'no other way was needed')
      })
    }

    test('a second push of a known blob sends nothing', async () => {
      const to = open(registry, 'known')
      const blob = growingBlob(randomBytes(1000))
      await to.pushBlob(blob)
      let opened = 0
      const again: BlobSource = { descriptor: blob.descriptor, open: (signal) => (opened++, blob.open(signal)) }
      await to.pushBlob(again)
      assert.equal(opened, 0)
    })

    test('what is not there is said not to be there', async () => {
      const to = open(registry, 'nothing')
      const digest = digestOf(randomBytes(10))
      assert.equal(await to.hasBlob(digest), false)
      assert.equal(await to.checkBlob({ mediaType: MEDIA_TYPES.ociLayer, digest, size: 10 }), false)
      assert.equal(await to.resolve('none'), undefined)
      assert.equal(await to.resolve(digest), undefined)
      await assert.rejects(to.getManifest('none'), { code: 'image_not_found' })
      await assert.rejects(collect(to.openBlob({ mediaType: '', digest, size: 10 })), { code: 'blob_missing' })
    })

    test('an image is put, found by tag and digest, and its tag moves', async () => {
      const to = open(registry, 'image/one')
      const first = await pushImage(to, 'v1', randomBytes(5000))
      assert.deepEqual(await to.resolve('v1'), first.descriptor)
      const read = await to.getManifest(first.descriptor.digest)
      assert.deepEqual(Buffer.from(read.bytes), first.manifest)
      assert.deepEqual(read.descriptor, first.descriptor)
      assert.equal(await to.checkBlob(first.layer), true)
      const second = await pushImage(to, 'v1', randomBytes(5000))
      assert.deepEqual(await to.resolve('v1'), second.descriptor)
    })

    test(`a blob of another repository is ${canMount ? 'taken over' : 'not taken over, and can be sent'}`, async () => {
      const from = open(registry, 'mount/source')
      const to = open(registry, 'mount/target')
      const content = randomBytes(5000)
      const { layer } = await pushImage(from, 'v1', content)
      assert.equal(await to.mountBlob(layer, from), canMount)
      if (!canMount) await to.pushBlob(growingBlob(content))
      assert.equal(await to.checkBlob(layer), true)
    })
  })
}

suite('distribution', { start: () => startRegistry(), canMount: true })
suite('go-containerregistry', { start: startSecondRegistry, canMount: false })

test('a mount of a blob that is not there is refused, and leaves no upload behind', async () => {
  await using registry = await startRegistry()
  const [from, to] = [open(registry, 'empty/source'), open(registry, 'empty/target')]
  const digest = digestOf('not there')
  assert.equal(await to.mountBlob({ mediaType: MEDIA_TYPES.ociLayer, digest, size: 9 }, from), false)
  assert.match(registry.log(), /DELETE .*\/v2\/empty\/target\/blobs\/uploads\//)
})

test('a manifest whose layer is missing is refused, and the layer named', async () => {
  await using registry = await startRegistry()
  const to = open(registry, 'incomplete')
  const config = await to.pushBlob(growingBlob(Buffer.from('{}')))
  const digest = digestOf('never sent')
  const layers = [{ mediaType: MEDIA_TYPES.ociLayer, digest, size: 10 }]
  const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers }
  const put = to.putManifest(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPES.ociManifest, { tag: 'v1' })
  await assert.rejects(put, { code: 'blob_missing', details: { registry: registry.host, digests: [digest] } })
})

test('a blob that garbage collection took is found out, though HEAD says that it is there (attacks.md A10)', async () => {
  await using registry = await startRegistry({ hasBlobCache: true })
  const to = open(registry, 'collected')
  const descriptor = await to.pushBlob(growingBlob(randomBytes(50_000)))
  assert.equal(await to.checkBlob(descriptor), true)
  await registry.collectGarbage()
  assert.equal(await to.hasBlob(descriptor.digest), true, 'else this test shows nothing')
  assert.equal(await to.checkBlob(descriptor), false)
})

test('a registry that restarts in the middle of an upload gets the whole blob', async () => {
  await using registry = await startRegistry()
  const to = open(registry, 'restarted')
  const content = randomBytes(2_000_000)
  const source = growingBlob(content)
  let restarted: Promise<void> | undefined
  const blob: BlobSource = {
    descriptor: source.descriptor,
    async *open() {
      let sent = 0
      for await (const piece of source.open()) {
        yield piece
        if ((sent += piece.length) >= 1_000_000) await (restarted ??= registry.restart())
      }
    },
  }
  const descriptor = await to.pushBlob(blob)
  assert.ok(restarted)
  assert.deepEqual(await collect(to.openBlob(descriptor)), content)
})

test('with Basic authentication the right password is let in, and a wrong one is named as such', async () => {
  await using registry = await startRegistry({ users: { ada: 'right' } })
  const as = (password: string) =>
    open(registry, 'private/thing', { credentials: async () => ({ kind: 'basic', username: 'ada', password }) })
  await pushImage(as('right'), 'v1', randomBytes(1000))
  await assert.rejects(as('wrong').pushBlob(growingBlob(randomBytes(10))), { code: 'registry_denied' })
  await assert.rejects(open(registry, 'private/thing').resolve('v1'), { code: 'registry_denied', message: /login/ })
})

test('with tokens: push, pull and mount, each with the scopes that it needs', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-token-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const { certificate, certificatePath, keyPath } = await makeCertificate(directory)
  const key = createPrivateKey(readFileSync(keyPath))
  await using tokens = await startTokenServer({
    answer: ({ parameters, authorization }) =>
      authorization === `Basic ${Buffer.from('ada:right').toString('base64')}`
        ? {
            status: 200,
            body: JSON.stringify({ access_token: signToken(parameters.getAll('scope'), certificate, key) }),
          }
        : { status: 401 },
  })
  const token = { realm: tokens.realm, service: 'lab', issuer: 'tintype lab', certificatePath }
  await using registry = await startRegistry({ token })
  const as = (password: string, repository: string) =>
    open(registry, repository, { credentials: async () => ({ kind: 'basic', username: 'ada', password }) })
  const [from, to] = [as('right', 'token/source'), as('right', 'token/target')]
  const { layer, descriptor } = await pushImage(from, 'v1', randomBytes(5000))
  assert.equal(await to.mountBlob(layer, from), true)
  assert.equal(await to.checkBlob(layer), true)
  assert.deepEqual(await from.resolve('v1'), descriptor)
  assert.deepEqual(
    tokens.asked.map(({ parameters }) => parameters.getAll('scope')),
    [
      ['repository:token/source:pull,push'],
      ['repository:token/target:pull,push', 'repository:token/source:pull'],
      ['repository:token/target:pull'],
      ['repository:token/source:pull'],
    ],
  )
  await assert.rejects(as('wrong', 'token/source').resolve('v1'), { code: 'registry_denied', message: /login/ })
})

/** A token as distribution reads it: a JWT, the certificate of its key in its head. */
function signToken(scopes: readonly string[], certificate: string, key: KeyObject): string {
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':')
    return { type, name, actions: actions.split(',') }
  })
  const now = Math.floor(systemClock.wallMs() / 1000)
  const head = { typ: 'JWT', alg: 'ES256', x5c: [new X509Certificate(certificate).raw.toString('base64')] }
  const claims = {
    iss: 'tintype lab',
    sub: 'ada',
    aud: 'lab',
    nbf: now - 10,
    iat: now,
    exp: now + 300,
    jti: '1',
    access,
  }
  const text = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

test('TLS with a CA of its own: trusted when it is given, else refused with the remedy, never as plain HTTP', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-ca-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const tls = await makeCertificate(directory)
  await using registry: DistributionRegistry = await startRegistry({ tls })
  await pushImage(open(registry, 'secure', { ca: tls.certificate }), 'v1', randomBytes(1000))
  assert.ok(await open(registry, 'secure', { insecureTls: true }).resolve('v1'))
  const untrusted = open(registry, 'secure').resolve('v1')
  await assert.rejects(untrusted, { code: 'registry_unavailable', message: /certificate is not trusted/ })
})
