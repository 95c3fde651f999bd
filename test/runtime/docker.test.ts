/** Containers of real engines are found: the right directory, the right base image, or a refusal that says why. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { createGunzip } from 'node:zlib'
import { startContainer } from '#lab/container.ts'
import { ENGINES, labEngine } from '#lab/engine.ts'
import { multiLayerImage } from '#lab/images.ts'
import { openFreezer } from '#freezer/freeze.ts'
import { engineInfo, engineInsecureRegistries } from '#runtime/docker/engine.ts'
import { locateDockerContainer } from '#runtime/docker/locate.ts'
import type { BaseImage, Source } from '#snapshot/source.ts'

const volumesOf = ({ mountPoints }: Source) =>
  mountPoints
    .filter(({ isVolume }) => isVolume)
    .map(({ path }) => path.toString())
    .sort()

/** The diffIDs of an exported image, by its bytes. */
async function exportedDiffIDs(base: BaseImage): Promise<readonly string[]> {
  const found: string[] = []
  const image = await base.export()
  for await (const { bytes, mediaType } of image.layers()) {
    const digest = createHash('sha256')
    const raw = mediaType.endsWith('+gzip') ? Readable.from(bytes).pipe(createGunzip()) : bytes
    for await (const chunk of raw) digest.update(chunk)
    found.push(`sha256:${digest.digest('hex')}`)
  }
  return found
}

const NAMES = process.env['TINTYPE_TEST_LONG'] ? ENGINES : (['docker20', 'docker28'] as const)

for (const name of NAMES)
  test(name, async (t) => {
    await using engine = await labEngine(name)
    const image = await multiLayerImage(engine, 4)
    const args = ['--name', `located-${name}`, '-v', '/data', '--tmpfs', '/scratch']
    await using container = await startContainer(engine, image, { args })
    const { socketPath } = engine
    const locate = (which: string) => locateDockerContainer({ socketPath, container: which })

    await t.test('by name, id and the beginning of an id', async () => {
      const sources = [
        await locate(`located-${name}`),
        await locate(container.id),
        await locate(container.id.slice(0, 10)),
      ]
      for (const source of sources) {
        assert.deepEqual([source.containerId, source.containerName], [container.id, `located-${name}`])
        assert.equal(source.init?.pid, container.pid)
      }
    })

    await t.test('what the container writes is in the upperdir', async () => {
      const { upperdir } = await locate(container.id)
      await container.exec(['sh', '-c', 'echo hello > /written'])
      assert.ok(existsSync(join(upperdir, 'written')))
      writeFileSync(join(upperdir, 'marker'), '') // and nowhere else: the container sees it
      assert.equal(await container.exec(['ls', '/marker']), '/marker')
    })

    await t.test('volumes and tmpfs are told, stubs of the engine are not volumes', async () => {
      const source = await locate(container.id)
      assert.deepEqual(volumesOf(source), ['/data', '/scratch'])
      assert.ok(source.mountPoints.some(({ path }) => path.toString() === '/etc/hosts'))
      assert.deepEqual([source.uidMap, source.gidMap], [[], []])
    })

    await t.test('the base is the image that runs, and its export is its layers', async () => {
      const { base } = await locate(container.id)
      assert.ok(base.name.endsWith(image), base.name) // Podman puts docker.io/ before it
      assert.deepEqual(base.platform, { os: 'linux', architecture: base.platform.architecture })
      const layers = await engine.docker(['image', 'inspect', '--format', '{{json .RootFS.Layers}}', image])
      assert.deepEqual(base.diffIDs, JSON.parse(layers))
      assert.equal(base.diffIDs.length, 4)
      const id = await engine.docker(['image', 'inspect', '--format', '{{.Id}}', image])
      assert.equal(`sha256:${id.replace('sha256:', '')}`, name === 'docker28' ? base.manifestDigest : base.configDigest)
      assert.deepEqual(await exportedDiffIDs(base), base.diffIDs)
    })

    await t.test('its freezer freezes it', async () => {
      const { freezer, init, upperdir } = await locate(container.id)
      const home = mkdtempSync(join(tmpdir(), 'tintype-run-'))
      await using open = openFreezer({ freezer: freezer!, init: init!, upperdir, home, maxFreezeMs: 60_000 })
      const frozen = await open.freeze()
      await frozen.stillFrozen()
      await assert.rejects(locate(container.id), { code: 'container_paused' })
      await frozen.thaw()
      rmSync(home, { recursive: true })
    })

    await t.test('a stopped container: found where the engine says its directories, else refused', async () => {
      await using stopped = await startContainer(engine, image, { args: ['-v', '/data'] })
      const running = await locate(stopped.id)
      await engine.docker(['kill', stopped.id])
      if (name === 'docker28') {
        await assert.rejects(locate(stopped.id), { code: 'container_not_running', message: /start it/ })
        return
      }
      const source = await locate(stopped.id)
      assert.deepEqual([source.upperdir, source.base.diffIDs], [running.upperdir, running.base.diffIDs])
      assert.deepEqual([source.init, source.freezer], [undefined, undefined])
      assert.deepEqual(volumesOf(source), ['/data'])
      const { signal } = new AbortController()
      await source.assertStopped!(signal)
      for (const command of ['start', 'kill']) {
        await engine.docker([command, stopped.id])
        await assert.rejects(source.assertStopped!(signal), { code: 'container_gone', message: /started/ }, command)
      }
      assert.equal(running.assertStopped, undefined)
    })

    await t.test('many layers: lowerdirs that are relative', async () => {
      const tall = await multiLayerImage(engine, 60)
      await using many = await startContainer(engine, tall)
      const source = await locate(many.id)
      assert.equal(source.base.diffIDs.length, 60)
    })

    await t.test('what is not there is not found', async () => {
      for (const which of ['no-such-container', '../images', 'a/b', '', 'x?y'])
        await assert.rejects(locate(which), { code: 'container_not_found' })
    })

    await t.test('the engine says what it is, and loopback needs no TLS', async () => {
      const info = await engineInfo(socketPath)
      assert.ok(info.version !== '' && info.root.startsWith('/'))
      const insecure = await engineInsecureRegistries(socketPath)
      for (const each of ['localhost', '127.0.0.0/8', '::1/128']) assert.ok(insecure.includes(each))
    })
  })

test('an engine that is not there is named, with the remedy', async () => {
  const located = locateDockerContainer({ socketPath: '/nowhere/docker.sock', container: 'x' })
  await assert.rejects(located, { code: 'engine_unavailable', message: /\/nowhere\/docker\.sock.*DOCKER_HOST/ })
})

test('a cancel ends the search', async () => {
  const signal = AbortSignal.abort()
  const located = locateDockerContainer({ socketPath: '/nowhere/docker.sock', container: 'x', signal })
  await assert.rejects(located, { code: 'cancelled' })
})
