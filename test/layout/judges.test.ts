import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { storeCredentials } from '#registry/credentials.ts'
import { openLayoutRepository } from '#registry/layout.ts'
import type { Repository } from '#registry/repository.ts'

const run = promisify(execFile)
const root = mkdtempSync(join(tmpdir(), 'tintype-judges-'))
after(() => rmSync(root, { recursive: true }))
const policy = join(root, 'policy.json')
writeFileSync(policy, '{"default":[{"type":"insecureAcceptAnything"}]}')
const skopeo = (...args: string[]) => run('skopeo', ['--policy', policy, ...args])

async function pushBytes(repository: Repository, mediaType: string, bytes: Uint8Array) {
  const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length }
  return repository.pushBlob({
    async *open() {
      yield bytes
    },
    descriptor: Promise.resolve(descriptor),
  })
}

/** An image with one layer that holds one file, `note`. */
async function putImage(repository: Repository, tag: string, note: string) {
  writeFileSync(join(root, 'note'), note)
  const { stdout: tar } = await run('tar', ['--sort=name', '-C', root, '-cf', '-', 'note'], { encoding: 'buffer' })
  const layer = await pushBytes(repository, MEDIA_TYPES.ociLayerGzip, gzipSync(tar))
  const rootfs = { type: 'layers', diff_ids: [digestOf(tar)] }
  const json = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs, history: [{ created_by: 'test' }] }),
  )
  const config = await pushBytes(repository, MEDIA_TYPES.ociConfig, json)
  const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [layer] }
  return repository.putManifest(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPES.ociManifest, { tag })
}

test('skopeo reads a layout that we wrote, and umoci unpacks it', async () => {
  const layout = join(root, 'ours')
  const repository = await openLayoutRepository(layout)
  await putImage(repository, 'other', 'another image')
  const descriptor = await putImage(repository, 'v1', 'hello')
  const { stdout } = await skopeo('inspect', '--format', '{{.Digest}}', `oci:${layout}:v1`)
  assert.equal(stdout.trim(), descriptor.digest)
  await skopeo('copy', `oci:${layout}:v1`, `oci:${join(root, 'copied')}:v1`)
  for (const from of [layout, join(root, 'copied')]) {
    const bundle = mkdtempSync(join(root, 'bundle-'))
    await run('umoci', ['unpack', '--rootless', '--image', `${from}:v1`, join(bundle, 'b')])
    assert.equal(readFileSync(join(bundle, 'b/rootfs/note'), 'utf8'), 'hello')
  }
})

test('umoci lists and collects garbage beside us, and our images stay', async () => {
  const layout = join(root, 'gc')
  const repository = await openLayoutRepository(layout)
  const descriptor = await putImage(repository, 'kept', 'kept')
  const orphan = await pushBytes(repository, MEDIA_TYPES.ociLayer, Buffer.from('nobody needs this'))
  await run('umoci', ['tag', '--image', `${layout}:kept`, 'second'])
  await run('umoci', ['gc', '--layout', layout])
  assert.equal((await run('umoci', ['list', '--layout', layout])).stdout, 'kept\nsecond\n')
  assert.equal(await repository.hasBlob(orphan.digest), false)
  assert.equal((await repository.resolve('second'))?.digest, descriptor.digest)
  await skopeo('copy', `oci:${layout}:second`, `oci:${join(root, 'after-gc')}:x`)
})

test('we read and extend a layout that skopeo wrote', async () => {
  const theirs = join(root, 'theirs')
  await putImage(await openLayoutRepository(join(root, 'seed')), 'v1', 'seed')
  await skopeo('copy', `oci:${join(root, 'seed')}:v1`, `oci:${theirs}:from-skopeo`)
  const repository = await openLayoutRepository(theirs)
  const { descriptor, bytes } = await repository.getManifest('from-skopeo')
  const manifest = JSON.parse(Buffer.from(bytes).toString())
  assert.equal(await repository.checkBlob(manifest.layers[0]), true)
  await putImage(repository, 'ours', 'ours')
  const { stdout } = await skopeo('inspect', '--format', '{{.Digest}}', `oci:${theirs}:from-skopeo`)
  assert.equal(stdout.trim(), descriptor.digest)
})

test('skopeo reads a login that we stored', async () => {
  const directory = mkdtempSync(join(root, 'docker-'))
  const credentials = { kind: 'basic', username: 'ann', password: 'a:b c' } as const
  const path = await storeCredentials('reg.example:5000', credentials, { DOCKER_CONFIG: directory })
  const { stdout } = await run('skopeo', ['login', '--get-login', '--authfile', path, 'reg.example:5000'])
  assert.equal(stdout.trim(), 'ann')
})
