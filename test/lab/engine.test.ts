import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { startContainer, upperdirOf } from '#lab/container.ts'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { busyboxImage, multiLayerImage } from '#lab/images.ts'
import { startRegistry } from '#lab/registry.ts'

for (const name of testedEngines()) {
  test(`${name} runs a container whose upperdir is on this host`, { skip: whyNoEngine(name) }, async () => {
    await using engine = await labEngine(name)
    const image = await busyboxImage(engine)
    await using container = await startContainer(engine, image)
    await container.exec(['sh', '-c', 'echo changed > /base/file'])
    const upperdir = upperdirOf(container.pid)
    assert.equal(readFileSync(`${upperdir}/base/file`, 'utf8'), 'changed\n')
    assert.ok(upperdir.startsWith(`${engine.root}/`), `${upperdir} below ${engine.root}`)

    await container.pause()
    assert.equal(await engine.docker(['inspect', '--format', '{{.State.Paused}}', container.id]), 'true')
    await container.unpause()
    const input = 'bytes from outside'
    assert.equal(await container.exec(['cat'], { input }), input)
    assert.equal((await container.execResult(['sh', '-c', 'exit 7'])).exitCode, 7)
  })

  test(`${name} pushes to and pulls from a registry on loopback`, { skip: whyNoEngine(name) }, async () => {
    await using engine = await labEngine(name)
    await using registry = await startRegistry()
    const image = await multiLayerImage(engine, 4, { unique: `push ${process.pid}` })
    const reference = `${registry.host}/lab/layers:one`
    await engine.docker(['tag', image, reference])
    await engine.docker(['push', reference])
    await engine.docker(['rmi', reference, image])
    await engine.docker(['pull', reference])
    await using container = await startContainer(engine, reference)
    assert.equal(await container.exec(['cat', '/layers/last']), '3')
  })

  test(`${name}: those who ask at once for an image get one`, { skip: whyNoEngine(name) }, async () => {
    await using engine = await labEngine(name)
    const unique = `at once ${process.pid}`
    const ask = async () => engine.docker(['inspect', '--format', '{{.Id}}', await busyboxImage(engine, { unique })])
    const ids = await Promise.all([ask(), ask(), ask()])
    assert.equal(new Set(ids).size, 1)
    assert.equal(await ask(), ids[0])
    await engine.docker(['rmi', ids[0]!])
  })
}

test('an engine of our own is gone without a trace when it is stopped', async () => {
  delete process.env['TINTYPE_LAB']
  const engine = await labEngine('docker20')
  const container = await startContainer(engine, await busyboxImage(engine))
  writeFileSync(`/proc/${container.pid}/root/tmp/mark`, '')
  await engine.stop()
  assert.equal(existsSync(`/proc/${container.pid}`), false)
  assert.equal(existsSync(engine.directory), false)
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(engine.directory))
})
