import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { startContainer } from '#lab/container.ts'
import { labEngine, testedEngines, whyNoEngine, type Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry, type DistributionRegistry } from '#lab/registry.ts'
import { openBench, type Bench } from './command.ts'

/** Containers that cannot be saved, or not like this: on each engine, which says different things of them. */
for (const name of testedEngines())
  describe(name, { skip: whyNoEngine(name) }, () => {
    let engine: Engine
    let bench: Bench
    let registry: DistributionRegistry
    before(async () => {
      engine = await labEngine(name)
      bench = await openBench(engine)
      registry = await startRegistry()
    })
    after(async () => {
      await registry.stop()
      await bench[Symbol.asyncDispose]()
      await engine.stop()
    })

    test('an unknown container', () =>
      bench.refuses(['snapshot', 'nobody', bench.freshTarget()], {
        exitCode: 3,
        code: 'container_not_found',
        says: /There is no container "nobody": see 'docker ps --all'/,
      }))

    test('a container that somebody else has paused stays paused', async () => {
      const { box, boxName } = bench
      await box.pause()
      await bench.settle()
      try {
        const refusal = { exitCode: 5, code: 'container_paused', says: new RegExp(`paused ${boxName}: unpause it`) }
        await bench.refuses(['snapshot', boxName, bench.freshTarget()], refusal)
        assert.equal(await engine.docker(['inspect', '--format', '{{.State.Status}}', box.id]), 'paused')
      } finally {
        await box.unpause()
        await bench.settle()
      }
    })

    test('a stopped container is saved as it lies on disk, or refused with the remedy', async () => {
      await using box = await startContainer(engine, await busyboxImage(engine))
      await box.exec(['sh', '-c', 'echo kept > /root/kept'])
      await engine.docker(['stop', '--time', '0', box.id])
      const target = bench.freshTarget()
      if (name === 'docker28') {
        const says = /is exited, .*: start it, then try again/
        await bench.refuses(['snapshot', box.id, target], { exitCode: 5, code: 'container_not_running', says })
        return
      }
      const { code, out, err } = await bench.run(['snapshot', box.id, target, '--json', '--quiet'])
      assert.deepEqual([code, err], [0, ''])
      const { warnings, freezeMethod, files } = JSON.parse(out)
      // Podman names its image by a digest in Docker Hub, where it is not: that is a warning, too.
      assert.ok(warnings.includes('The container is stopped: it was saved as it lies on disk.'), warnings.join())
      assert.deepEqual([freezeMethod, files > 0], ['none', true])
    })

    const whyNot = name === 'podman' && 'Podman removes containers together with an image that is removed by force'
    test('a base image that neither a registry nor the engine has', { skip: whyNot }, async () => {
      const image = await busyboxImage(engine, { unique: `removed by force, ${bench.boxName}` })
      await using box = await startContainer(engine, image)
      const id = await engine.docker(['inspect', '--format', '{{.Image}}', box.id])
      // No engine removes it under a running container; it starts without it.
      await engine.docker(['stop', '--time', '0', box.id])
      await engine.docker(['rmi', '--force', id])
      await engine.docker(['start', box.id])
      const says = new RegExp(
        `no longer has the image ${image} \\(${id}\\).*: bring exactly this one back with "docker pull"`,
      )
      const target = bench.freshTarget()
      await bench.refuses(['snapshot', box.id, target], { exitCode: 3, code: 'base_not_found', says })
      assert.equal(await box.exec(['echo', 'it runs']), 'it runs')
      assert.ok(!existsSync(target.slice('oci:'.length, -':v1'.length)))
    })

    test('a tag that exists stays, and moves when asked to', async () => {
      const { box, boxName } = bench
      const target = `${registry.host}/team/box:v1`
      const digest = async () => {
        const accept = 'application/vnd.oci.image.manifest.v1+json'
        const answer = await fetch(`http://${registry.host}/v2/team/box/manifests/v1`, { headers: { accept } })
        return answer.headers.get('docker-content-digest')
      }
      assert.equal((await bench.run(['snapshot', boxName, target, '--quiet'])).code, 0)
      const first = await digest()
      await box.exec(['sh', '-c', 'echo more > /work/more'])
      const says = new RegExp(`${target} exists already \\(${first}\\): choose another tag, or add --overwrite`)
      await bench.refuses(['snapshot', boxName, target], { exitCode: 4, code: 'tag_exists', says })
      assert.equal(await digest(), first)
      const moved = await bench.run(['snapshot', boxName, target, '--overwrite', '--json', '--quiet'])
      assert.deepEqual([moved.code, JSON.parse(moved.out).digest], [0, await digest()])
      assert.notEqual(await digest(), first)
    })
  })
