/** A spool that cannot hold the compressed image (attacks.md B8), and a registry that takes no large layer: many smaller ones. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { labEngine, type Engine } from '#lab/engine.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { mustRun } from '#lab/workspace.ts'
import { parseReference } from '#oci/reference.ts'
import { openLayoutRepository } from '#registry/layout.ts'
import { openRegistryRepository } from '#registry/registry.ts'
import type { Captured } from '#snapshot/result.ts'
import { openRounds } from './lab.ts'
import { startLoggingProxy, type Asked, type LoggingProxy } from './logging-proxy.ts'

const MB = 2 ** 20
/** The tail takes 64 MiB of it, and a layer as much at the least. */
const DISK_MB = 150
/** Of what no compressor makes smaller. */
const FILES = 36
const FILE_MB = 10

let engine: Engine
let registry: Registry
before(async () => {
  engine = await labEngine('docker20')
  registry = await startRegistry()
})
after(async () => {
  await registry.stop()
  await engine.stop()
})

const FILL = `mkdir -p /data/in; for i in $(seq ${FILES}); do head -c ${FILE_MB * MB} /dev/urandom > /data/in/$i; done; ln /data/in/1 /data/hard; rm -rf /base/dir`

interface Disk extends AsyncDisposable {
  readonly home: string
  usedBytes(): number
}

/** A file system for TINTYPE_HOME alone. */
function openDisk(): Disk {
  const directory = mkdtempSync(join(tmpdir(), 'small-spool-'))
  const home = join(directory, 'home')
  mkdirSync(home)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', home])
  return {
    home,
    usedBytes() {
      const { blocks, bfree, bsize } = statfsSync(home)
      return (blocks - bfree) * bsize
    },
    async [Symbol.asyncDispose]() {
      await mustRun('umount', ['--lazy', home])
      rmSync(directory, { recursive: true })
    },
  }
}

const sizesOf = ({ layers }: Captured) => layers.map(({ sizeBytes }) => sizeBytes)
const endsUpload = ({ method, path }: Asked) => method === 'PUT' && path.includes('/blobs/uploads/')
const targetAt = (proxy: LoggingProxy, reference: string) =>
  openRegistryRepository({
    registry: proxy.host,
    repository: parseReference(reference).repository,
    credentials: async () => undefined,
  })

test('a slow registry does not let the spool grow, and what changes meanwhile is saved by a second live pass', async () => {
  await using rounds = await openRounds(engine, registry)
  await rounds.change(FILL)
  await using disk = openDisk()
  await using proxy = await startLoggingProxy(registry.host)
  const held = proxy.hold(endsUpload)
  let mostBytes = 0
  const onProgress = () => (mostBytes = Math.max(mostBytes, disk.usedBytes()))
  const { home } = disk
  const saving = rounds.save('large', { home, target: targetAt(proxy, rounds.referenceOf('large')), onProgress })
  await Promise.race([held.arrived, saving])
  const before = disk.usedBytes()
  await rounds.change(`for i in $(seq 9); do head -c ${FILE_MB * MB} /dev/urandom > /data/in/$i; done; rm /data/hard`)
  assert.equal(disk.usedBytes(), before)
  held.release()
  const saved = await saving
  assert.ok(saved.passes >= 3, `${saved.passes} passes`)
  assert.deepEqual(saved.warnings, [])
  const sizes = sizesOf(saved)
  assert.ok(sizes.length >= 6 && Math.max(...sizes) < (DISK_MB - 64) * MB, sizes.join(' '))
  assert.ok(mostBytes > 64 * MB && mostBytes < DISK_MB * MB, `${mostBytes} bytes at the most`)
  await rounds.restart('large')
})

test('a capture that waits for room ends at once when it is cancelled', async () => {
  await using rounds = await openRounds(engine, registry)
  await rounds.change(FILL)
  await using disk = openDisk()
  await using proxy = await startLoggingProxy(registry.host)
  const held = proxy.hold(endsUpload)
  const stop = new AbortController()
  const { home } = disk
  const target = targetAt(proxy, rounds.referenceOf('never'))
  const saving = rounds.save('never', { home, target, signal: stop.signal })
  await Promise.race([held.arrived, saving])
  stop.abort() // the registry does not answer before this has ended
  await assert.rejects(saving, { code: 'cancelled' })
  held.release()
  assert.deepEqual(readdirSync(join(home, 'spool')), [])
  assert.equal(await rounds.layerSizes('never'), undefined)
})

test('a layout takes a frozen container layer by layer within TINTYPE_SPOOL_BYTES, and what cannot be merged stays', async (t) => {
  await using rounds = await openRounds(engine, registry)
  await rounds.change(FILL)
  const directory = mkdtempSync(join(tmpdir(), 'small-spool-layout-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const saved = await rounds.save('layout', {
    target: await openLayoutRepository(directory),
    spoolBytes: DISK_MB * MB,
    singlePass: true,
    squash: { layers: 2, supersededBytes: 256 * MB },
  })
  assert.equal(saved.passes, 1)
  assert.ok(sizesOf(saved).length >= 3, sizesOf(saved).join(' '))
  assert.deepEqual(saved.warnings.length, 1)
  assert.match(saved.warnings[0] ?? '', /stay as they are, for they cannot be merged: TINTYPE_SPOOL_BYTES allows/)
  const to = `docker://${rounds.referenceOf('layout')}`
  await mustRun('skopeo', ['copy', '--quiet', '--dest-tls-verify=false', `oci:${directory}:layout`, to])
  await rounds.restart('layout')
})

test('no layer is larger than TINTYPE_MAX_LAYER_BYTES, merged or not; what one file makes larger cannot be merged', async () => {
  await using rounds = await openRounds(engine, registry)
  await rounds.change('mkdir /data; for i in $(seq 6); do head -c 400000 /dev/urandom > /data/$i; done')
  const maxLayerBytes = 1_000_000
  const small = await rounds.save('small', { maxLayerBytes })
  assert.equal(sizesOf(small).length, 3, sizesOf(small).join(' '))
  assert.ok(Math.max(...sizesOf(small)) <= maxLayerBytes, sizesOf(small).join(' '))
  await rounds.restart('small')

  await rounds.change('for i in $(seq 7 9); do head -c 300000 /dev/urandom > /data/$i; done')
  const merged = await rounds.save('merged', { maxLayerBytes, squash: { layers: 1, supersededBytes: 256 * MB } })
  assert.equal(merged.squashed?.layers, 4, merged.warnings.join())
  assert.ok(Math.max(...sizesOf(merged)) <= maxLayerBytes, sizesOf(merged).join(' '))
  await rounds.restart('merged')

  await rounds.change('echo more > /data/more')
  const squash = { layers: 1, supersededBytes: 256 * MB }
  const stays = await rounds.save('stays', { maxLayerBytes: 350_000, squash })
  assert.equal(stays.squashed, undefined)
  assert.match(stays.warnings.join(), /stay as they are, for they cannot be merged: .*TINTYPE_MAX_LAYER_BYTES/)
  await rounds.restart('stays')
})
