import assert from 'node:assert/strict'
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { ensurePackages } from '#lab/packages.ts'
import { encodeTar, tarMember } from '#lab/tar-headers.ts'
import { runProgram } from '#base/process.ts'
import { appendLayers } from '#oci/append-layers.ts'
import type { AppendedLayer } from '#oci/append-layers.ts'
import { parseConfig } from '#oci/config.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf, parseDiffID } from '#oci/digest.ts'
import type { TarHeader } from '#oci/tar.ts'

/**
 * An OCI image layout with an image of ours, read by others: skopeo (containers/image) checks every digest and diffID,
 * umoci unpacks the layers with Go's archive/tar.
 */
const scratch = mkdtempSync(join(tmpdir(), 'tintype-layout-'))
const layout = join(scratch, 'layout')
const blob = (bytes: Uint8Array) => {
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true })
  writeFileSync(join(layout, 'blobs/sha256', digestOf(bytes).slice('sha256:'.length)), bytes)
}

const run = async (program: string, ...args: readonly string[]): Promise<string> => {
  const { exitCode, stdout, stderr } = await runProgram(program, args)
  assert.equal(exitCode, 0, `${program} ${args.join(' ')}: ${stderr}`)
  return stdout.toString()
}

const member = (name: string | Buffer, more: Partial<TarHeader> = {}) => tarMember(name, { uid: 0, gid: 0, ...more })

/** A layer whose files are full of `x`, as a blob of the layout. */
function writeLayer(members: readonly TarHeader[]): AppendedLayer {
  const tar = encodeTar(members)
  const bytes = gzipSync(tar)
  blob(bytes)
  return {
    descriptor: { mediaType: MEDIA_TYPES.ociLayerGzip, digest: digestOf(bytes), size: bytes.length },
    diffID: parseDiffID(digestOf(tar)),
  }
}

const NOT_UTF8 = Buffer.from([0x64, 0x2f, 0xff, 0xfe])
const LONG = `d/${'ü'.repeat(100)}`
const BASE_LAYER = [
  member('etc/'),
  member('etc/passwd', { size: 10 }),
  member('etc/gone', { size: 1 }),
  member('hidden/'),
  member('hidden/below'),
]
const OUR_LAYER = [
  member('./', { mode: 0o751 }),
  member('d/', { mode: 0o1777, mtimeSec: -5 }),
  member('d/tool', {
    size: 700,
    mode: 0o4755,
    uid: 1234,
    gid: 3_000_000,
    xattrs: [['user.k', Buffer.from([0, 255, 61])]],
  }),
  member('d/hard', { kind: 'hardlink', linkName: Buffer.from('d/tool'), mode: 0o4755 }),
  member('d/soft', { kind: 'symlink', linkName: Buffer.from('t'.repeat(200)), mode: 0o777 }),
  member('d/fifo', { kind: 'fifo' }),
  member(NOT_UTF8, { size: 3 }),
  member(LONG, { mtimeSec: 2 ** 33 }),
  member('etc/'),
  member('etc/.wh.gone', { mode: 0, mtimeSec: 0 }),
  member('hidden/'),
  member('hidden/.wh..wh..opq', { mode: 0, mtimeSec: 0 }),
]

before(async () => {
  await ensurePackages(['skopeo', 'umoci', 'python3'])
  const lower = writeLayer(BASE_LAYER)
  const config = {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [lower.diffID] },
    config: { Env: ['A=1'], Labels: { base: 'yes' } },
    container_config: { Hostname: 'x' },
  }
  const base = {
    config: parseConfig(Buffer.from(JSON.stringify(config))),
    layers: [{ ...lower.descriptor, mediaType: MEDIA_TYPES.dockerLayerGzip }],
  }
  const image = appendLayers(base, [writeLayer(OUR_LAYER)], {
    created: '2026-11-24T10:00:00Z',
    createdBy: 'tintype snapshot',
    labels: { team: 'a' },
    baseName: 'debian:12',
  })
  blob(image.config.bytes)
  blob(image.manifest.bytes)
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' }
  const index = { schemaVersion: 2, manifests: [{ ...image.manifest.descriptor, annotations }] }
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index))
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
})
after(() => rmSync(scratch, { recursive: true, force: true }))

test('skopeo reads config, labels and history', async () => {
  const seen = JSON.parse(await run('skopeo', 'inspect', `oci:${layout}:v1`)) as Record<string, unknown>
  assert.deepEqual(seen['Labels'], { base: 'yes', 'io.tintype.base.layers': '1', team: 'a' })
  assert.deepEqual(seen['Env'], ['A=1'])
  assert.equal(seen['Created'], '2026-11-24T10:00:00Z')
  assert.equal((seen['Layers'] as unknown[]).length, 2)
  const config = JSON.parse(await run('skopeo', 'inspect', '--config', `oci:${layout}:v1`)) as { history: unknown[] }
  assert.equal(config.history.length, 2)
})

test('skopeo copies it, every digest checked, also into the form that wants a history for each layer', async () => {
  await run('skopeo', 'copy', `oci:${layout}:v1`, `dir:${join(scratch, 'dir')}`)
  await run('skopeo', 'copy', '--format', 'v2s2', `oci:${layout}:v1`, `dir:${join(scratch, 'v2s2')}`)
  await run('skopeo', 'copy', `oci:${layout}:v1`, `docker-archive:${join(scratch, 'archive.tar')}`)
})

test('umoci unpacks it', async () => {
  const bundle = join(scratch, 'bundle')
  await run('umoci', 'unpack', '--image', `${layout}:v1`, bundle)
  const at = (path: string) => join(bundle, 'rootfs', path)
  const tool = lstatSync(at('d/tool'))
  assert.deepEqual([tool.size, tool.mode & 0o7777, tool.uid, tool.gid], [700, 0o4755, 1234, 3_000_000])
  assert.equal(lstatSync(at('d/hard')).ino, tool.ino)
  assert.equal(readlinkSync(at('d/soft')), 't'.repeat(200))
  assert.ok(lstatSync(at('d/fifo')).isFIFO())
  assert.equal(lstatSync(at('d')).mode & 0o7777, 0o1777)
  assert.equal(lstatSync(at('d')).mtimeMs, -5000)
  assert.equal(lstatSync(at('.')).mode & 0o7777, 0o751)
  assert.equal(lstatSync(at(LONG)).mtimeMs, 2 ** 33 * 1000)
  assert.equal(readFileSync(Buffer.concat([Buffer.from(`${at('.')}/`), NOT_UTF8]), 'utf8'), 'xxx')
  assert.throws(() => lstatSync(at('etc/gone')), { code: 'ENOENT' })
  assert.throws(() => lstatSync(at('hidden/below')), { code: 'ENOENT' })
  assert.equal(lstatSync(at('etc/passwd')).size, 10)
  const script = 'import os,sys; sys.stdout.write(os.getxattr(sys.argv[1], "user.k").hex())'
  assert.equal(await run('python3', '-c', script, at('d/tool')), '00ff3d')
})
