/** Ten people save ten instances of one base at once. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startContainer, type Container } from '#lab/container.ts'
import { labEngine, type Engine } from '#lab/engine.ts'
import { multiLayerImage } from '#lab/images.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { describeContainer } from '../fidelity/judges.ts'
import { snapshot } from '../support/command.ts'
import { assertSame } from './lab.ts'
import { startLoggingProxy, type Asked, type LoggingProxy } from './logging-proxy.ts'

const PEOPLE = Array.from({ length: 10 }, (_, i) => `person${i}`)
const BASE_LAYERS = 3
const [FIRST = '', ...OTHERS] = PEOPLE

const root = mkdtempSync(join(tmpdir(), 'ten-people-'))
let engine: Engine
let registry: Registry
let proxy: LoggingProxy
before(async () => {
  engine = await labEngine('docker20')
  registry = await startRegistry()
  proxy = await startLoggingProxy(registry.host)
})
after(async () => {
  await proxy[Symbol.asyncDispose]()
  await registry.stop()
  await engine.stop()
  rmSync(root, { recursive: true })
})

const referenceOf = (person: string) => `${proxy.host}/people/${person}:v1`
const isPushOf = (person: string) => (asked: Asked) =>
  asked.method === 'PATCH' && asked.path.startsWith(`/v2/people/${person}/blobs/uploads/`)

async function layersOf(repository: string): Promise<readonly string[]> {
  const accept = 'application/vnd.oci.image.manifest.v1+json,application/vnd.docker.distribution.manifest.v2+json'
  const answer = await fetch(`http://${registry.host}/v2/${repository}/manifests/v1`, { headers: { accept } })
  const { layers } = (await answer.json()) as { layers: readonly { digest: string }[] }
  return layers.map(({ digest }) => digest)
}

function putsOf(digest: string): number {
  return proxy.asked.filter(({ method, path }) => method === 'PUT' && decodeURIComponent(path).includes(digest)).length
}

test('the base travels once, each image is right, and nobody waits for the upload of another', async () => {
  const base = `${proxy.host}/lab/base:v1`
  await engine.docker(['tag', await multiLayerImage(engine, BASE_LAYERS, { unique: `people-${process.pid}` }), base])
  await engine.docker(['push', '--quiet', base])
  await using stack = new AsyncDisposableStack()
  const containers = new Map<string, Container>()
  for (const person of PEOPLE) {
    const container = stack.use(await startContainer(engine, base))
    await container.exec(['sh', '-ec', `echo ${person} > /whose; rm -rf /base/dir; mkdir /base/dir; touch /base/dir/x`])
    containers.set(person, container)
  }
  const save = (person: string) =>
    snapshot([containers.get(person)?.id ?? '', referenceOf(person)], {
      home: join(root, 'home'),
      socketPath: engine.socketPath,
    })

  const held = proxy.hold(isPushOf(FIRST))
  const ended: string[] = []
  const first = save(FIRST).then(() => ended.push(FIRST))
  await held.arrived
  await Promise.all(OTHERS.map((person) => save(person).then(() => ended.push(person))))
  assert.deepEqual(ended.toSorted(), OTHERS, 'the first is still on its way')
  held.release()
  await first

  const baseLayers = await layersOf('lab/base')
  assert.ok(baseLayers.length >= BASE_LAYERS)
  for (const digest of baseLayers) assert.equal(putsOf(digest), 1, `${digest} was sent once`)
  for (const person of PEOPLE) {
    const layers = await layersOf(`people/${person}`)
    assert.deepEqual(layers.slice(0, -1), baseLayers, 'the base, and one layer of the person')
    assert.equal(putsOf(layers.at(-1) ?? ''), 1)
    await assertRight(person, containers.get(person))
  }
})

async function assertRight(person: string, original: Container | undefined): Promise<void> {
  assert.ok(original)
  await engine.docker(['pull', '--quiet', referenceOf(person)])
  await using pulled = await startContainer(engine, referenceOf(person))
  assertSame(await describeContainer(pulled), await describeContainer(original), person)
}
