import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as forward } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { startFakeRegistry, startTokenServer } from '#lab/fake-registry.ts'
import { startRegistry, startSecondRegistry } from '#lab/registry.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { deleteTag } from '../../src/registry/delete-tag.ts'
import { openRegistryRepository } from '../../src/registry/registry.ts'
import type { Repository } from '../../src/registry/repository.ts'

const optionsOf = (host: string) => ({ registry: host, repository: 'team/app', credentials: async () => undefined })

async function push(repository: Repository, bytes: Buffer) {
  const descriptor = { mediaType: MEDIA_TYPES.ociLayer, digest: digestOf(bytes), size: bytes.length }
  const open = async function* () {
    yield bytes
  }
  return repository.pushBlob({ descriptor: Promise.resolve(descriptor), open })
}

/** An image of its own under each tag; its digest. */
async function putImage(repository: Repository, ...tags: string[]) {
  const layer = await push(repository, randomBytes(100))
  const config = {
    ...(await push(repository, Buffer.from(`{"n":"${layer.digest}"}`))),
    mediaType: MEDIA_TYPES.ociConfig,
  }
  const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [layer] }
  const bytes = Buffer.from(JSON.stringify(manifest))
  for (const tag of tags) await repository.putManifest(bytes, MEDIA_TYPES.ociManifest, { tag })
  return digestOf(bytes)
}

const STARTS = [
  ['by digest only (distribution 2.8)', () => startRegistry()],
  ['by tag as well (go-containerregistry)', startSecondRegistry],
] as const
for (const [name, start] of STARTS)
  test(`a registry that deletes ${name}: the tag goes, and nothing else`, async () => {
    await using registry = await start()
    const options = optionsOf(registry.host)
    const repository = openRegistryRepository(options)
    const digest = await putImage(repository, 'v1', 'also-v1')
    const other = await putImage(repository, 'v2')
    const signal = AbortSignal.timeout(120_000)
    assert.equal(await deleteTag(options, { tag: 'v1', digest }, signal), true)
    assert.equal(await repository.resolve('v1'), undefined)
    assert.equal((await repository.resolve('also-v1'))?.digest, digest, 'its other tag stays')
    assert.equal((await repository.resolve(digest))?.digest, digest, 'and the image')
    assert.equal((await repository.resolve('v2'))?.digest, other)
    assert.equal(await deleteTag(options, { tag: 'v1', digest }, signal), false, 'there is nothing to delete any more')
    assert.equal(await deleteTag(options, { tag: 'v2', digest }, signal), false, 'a tag that stands for another image')
    assert.equal((await repository.resolve('v2'))?.digest, other)
  })

test('a registry that does not delete says so, and the tag is where it was', async () => {
  await using registry = await startRegistry({ canDelete: false })
  const options = optionsOf(registry.host)
  const repository = openRegistryRepository(options)
  const digest = await putImage(repository, 'v1')
  const deleting = deleteTag(options, { tag: 'v1', digest }, AbortSignal.timeout(120_000))
  await assert.rejects(deleting, { code: 'registry_refused', message: /does not delete/ })
  assert.equal((await repository.resolve('v1'))?.digest, digest)
})

test('a registry with a cache of blobs: one tag after the other goes', async () => {
  await using registry = await startRegistry({ hasBlobCache: true })
  const options = optionsOf(registry.host)
  const repository = openRegistryRepository(options)
  const digest = await putImage(repository, 'v1', 'v2', 'v3')
  const signal = AbortSignal.timeout(120_000)
  for (const tag of ['v1', 'v2']) assert.equal(await deleteTag(options, { tag, digest }, signal), true)
  assert.deepEqual([await repository.resolve('v1'), await repository.resolve('v2')], [undefined, undefined])
  assert.equal((await repository.getManifest('v3')).descriptor.digest, digest)
})

const TAG_PUT = /^PUT \/v2\/team\/app\/manifests\/v1$/
const DECOY_PUT = /^PUT \/v2\/team\/app\/manifests\/sha256:/

/** The registry for somebody who gets no answer to one request, which it has carried out; `isForGood`: nor to any after it. */
async function losesAnswer(host: string, { to, isForGood = false }: { to: RegExp; isForGood?: boolean }) {
  let isLost = false
  const [lost, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const server = createServer((asked, answer) => {
    if (isLost && isForGood) return void asked.socket.destroy()
    const { method, headers, url: path } = asked
    const [hostname, port] = host.split(':')
    const sent = forward({ hostname, port, method, path, headers: { ...headers, host } }, (response) => {
      if (!isLost && to.test(`${method} ${path}`)) {
        isLost = true
        lost.resolve()
        if (isForGood) asked.socket.destroy()
        else void go.promise.then(() => asked.socket.destroy())
        return
      }
      answer.writeHead(response.statusCode ?? 500, response.headers)
      response.pipe(answer)
    })
    asked.pipe(sent)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    lost: lost.promise,
    /** The connection is cut only now. */
    goOn: () => go.resolve(),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('what was cut off between the two last steps is brought to its end by the next try, for that image only', async () => {
  await using registry = await startRegistry()
  await using proxy = await losesAnswer(registry.host, { to: TAG_PUT, isForGood: true })
  const repository = openRegistryRepository(optionsOf(registry.host))
  const digest = await putImage(repository, 'v1', 'v2')
  const over = new AbortController()
  void proxy.lost.then(() => setTimeout(() => over.abort(), 3_000))
  await assert.rejects(
    deleteTag(optionsOf(proxy.host), { tag: 'v1', digest }, over.signal),
    /v1 may .*: delete it again/,
  )
  const decoy = (await repository.resolve('v1'))?.digest
  assert.notEqual(decoy, digest, 'it could not be put back')
  const signal = AbortSignal.timeout(120_000)
  const options = optionsOf(registry.host)
  assert.equal(await deleteTag(options, { tag: 'v1', digest: digestOf('another') }, signal), false)
  assert.equal((await repository.resolve('v1'))?.digest, decoy)
  assert.equal(await deleteTag(options, { tag: 'v1', digest }, signal), true)
  assert.equal(await repository.resolve('v1'), undefined)
  assert.equal((await repository.resolve('v2'))?.digest, digest)
})

test('a deletion that is ended just as the tag stands for the decoy puts the tag back', async () => {
  await using registry = await startRegistry()
  await using proxy = await losesAnswer(registry.host, { to: TAG_PUT })
  const repository = openRegistryRepository(optionsOf(registry.host))
  const digest = await putImage(repository, 'v1')
  const over = new AbortController()
  void proxy.lost.then(() => over.abort(new Error('its time is over')))
  await assert.rejects(deleteTag(optionsOf(proxy.host), { tag: 'v1', digest }, over.signal))
  assert.equal((await repository.resolve('v1'))?.digest, digest)
})

test('a deletion whose answer is lost takes nothing but the image that was meant', async () => {
  await using registry = await startSecondRegistry()
  await using proxy = await losesAnswer(registry.host, { to: /^DELETE \/v2\/team\/app\/manifests\/v1$/ })
  const repository = openRegistryRepository(optionsOf(registry.host))
  const digest = await putImage(repository, 'v1')
  const deleting = deleteTag(optionsOf(proxy.host), { tag: 'v1', digest }, AbortSignal.timeout(120_000))
  await proxy.lost
  const other = await putImage(repository, 'v1')
  proxy.goOn()
  assert.equal(await deleting, true)
  assert.equal((await repository.resolve('v1'))?.digest, other, 'the one that came meanwhile')
})

test('deleting asks for the right to delete, and does without where the token server does not know it (Quay)', async () => {
  const own = 'repository:team/app:pull,push'
  for (const knowsDelete of [true, false]) {
    await using tokens = await startTokenServer({
      answer: ({ parameters }) => {
        const scopes = parameters.getAll('scope')
        return scopes.some((scope) => scope.endsWith(':delete')) && !knowsDelete ? { status: 400 } : undefined
      },
    })
    const digest = digestOf('a manifest')
    await using fake = await startFakeRegistry({
      challenge: (seen) => {
        const wanted = seen.method === 'DELETE' ? (knowsDelete ? 'repository:team/app:delete' : own) : undefined
        const isIn = wanted ? tokens.grants(seen, wanted) : seen.headers.authorization !== undefined
        return isIn ? undefined : `Bearer realm="${tokens.realm}",service="fake"`
      },
      before: (seen) => (seen.method === 'DELETE' && seen.headers.authorization ? { status: 202 } : undefined),
    })
    fake.manifests.set('team/app:v1', { bytes: Buffer.from('a manifest'), mediaType: MEDIA_TYPES.ociManifest })
    const options = { ...optionsOf(fake.host), plainHttp: true }
    assert.equal(await deleteTag(options, { tag: 'v1', digest }, AbortSignal.timeout(120_000)), true)
    assert.equal(fake.asked().at(-1), 'DELETE /v2/team/app/manifests/v1')
  }
})

test('a tag that is moved while the decoy is made is left alone', async () => {
  await using registry = await startRegistry()
  await using proxy = await losesAnswer(registry.host, { to: DECOY_PUT })
  const repository = openRegistryRepository(optionsOf(registry.host))
  const digest = await putImage(repository, 'v1')
  const deleting = deleteTag(optionsOf(proxy.host), { tag: 'v1', digest }, AbortSignal.timeout(120_000))
  await proxy.lost
  const other = await putImage(repository, 'v1')
  assert.notEqual(other, digest)
  proxy.goOn()
  assert.equal(await deleting, false)
  assert.equal((await repository.resolve('v1'))?.digest, other)
})
