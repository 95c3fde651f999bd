/**
 * Snapshots of a container that works: files that depend on each other, an append-only log, stores into mapped files, large
 * writes in place and databases under load. Each image must be the container at one moment.
 */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sleep } from '#base/abort.ts'
import { startContainer, type Container } from '#lab/container.ts'
import { labEngine, testedEngines, whyNoEngine, type Engine } from '#lab/engine.ts'
import { debianImage } from '#lab/images.ts'
import { startRegistry, type Registry } from '#lab/registry.ts'
import { snapshot } from '../support/command.ts'
import { unpackOwnLayers } from '../support/own-layers.ts'
import { problemsOf } from './judge.ts'

const SNAPSHOTS = process.env['TINTYPE_TEST_LONG'] === '1' ? 50 : 5
/** The others are saved to a layout on disk, which is faster. */
const PULLED_EVERY = 4
const LOAD = readFileSync(new URL('load.py', import.meta.url), 'utf8')

for (const name of testedEngines())
  test(`${name}: ${SNAPSHOTS} snapshots of a working container`, { skip: whyNoEngine(name) }, async (t) => {
    await using engine = await labEngine(name)
    await using registry = await startRegistry()
    await using container = await startLoad(engine)
    const directory = mkdtempSync(join(tmpdir(), 'tintype-load-'))
    t.after(() => rmSync(directory, { recursive: true }))
    const home = join(directory, 'home')
    const lab = { engine, registry, container, directory, options: { home, socketPath: engine.socketPath } }
    let last = ''
    for (let number = 1; number <= SNAPSHOTS; number++) {
      const take = number % PULLED_EVERY === 0 ? ofRegistry : ofLayout
      await t.test(
        `snapshot ${number}, ${take === ofLayout ? 'unpacked by umoci' : 'pulled by Docker'}`,
        async (each) => {
          const load = await take(each, lab, number)
          assert.deepEqual(problemsOf(load), [])
          last = load
        },
      )
    }
    for (const [reason, spoil] of SPOILED)
      await t.test(`the judge would have seen ${reason}`, () => {
        const spoiled = join(directory, reason)
        cpSync(last, spoiled, { recursive: true, filter: (path) => path !== join(last, 'm') })
        spoil((path) => join(spoiled, path))
        assert.notDeepEqual(problemsOf(spoiled), [])
      })
  })

/** What a snapshot would look like that is not one state. */
const SPOILED: readonly (readonly [reason: string, spoil: (at: (path: string) => string) => void])[] = [
  ['the second file of the pair as it was two steps before', (at) => count(at('z/second'), -2)],
  ['the first file of the pair as it was one step before', (at) => count(at('a/first'), -2)],
  ['a log that ends within a line', (at) => truncateSync(at('log'), 1001)],
  ['a log with a gap', (at) => appendFileSync(at('log'), '9999999999 00000000\n')],
  ['a page of a large write that is missing', (at) => overwrite(at('blocks'), 3 * 4096, Buffer.alloc(4096, 1))],
  ['a store to a mapped file that is missing', (at) => overwrite(at('mapping'), 5 * 4096, Buffer.alloc(8))],
  ['a store after a thaw that is missing', (at) => overwrite(at('after-thaw'), 2048, Buffer.alloc(8))],
  ['a mapped file older than its log', (at) => appendFileSync(at('mapping.log'), 'A 9999999999\n')],
  ['a torn database', (at) => overwrite(at('delete.db'), 4096, Buffer.alloc(2048, 7))],
  ['a database without its newest transactions', (at) => count(at('wal.log'), 5)],
]

/** Add to the number that ends a file. */
function count(path: string, steps: number): void {
  const [last = '', ...before] = readFileSync(path, 'latin1').trimEnd().split('\n').toReversed()
  const next = String(Number(last) + steps).padStart(last.length, '0')
  writeFileSync(path, `${[...before.toReversed(), next].join('\n')}\n`)
}

function overwrite(path: string, offset: number, bytes: Buffer): void {
  const content = readFileSync(path)
  bytes.copy(content, offset)
  writeFileSync(path, content)
}

interface Lab {
  readonly engine: Engine
  readonly registry: Registry
  readonly container: Container
  readonly directory: string
  readonly options: { readonly home: string; readonly socketPath: string }
}

async function startLoad(engine: Engine): Promise<Container> {
  const container = await startContainer(engine, await debianImage(engine), {
    command: ['python3', '-c', LOAD, '/load'],
  })
  const deadline = AbortSignal.timeout(120_000)
  while (!existsSync(`/proc/${container.pid}/root/load/ready`)) await sleep(20, deadline)
  return container
}

async function ofLayout(t: TestContext, { container, directory, options }: Lab, number: number): Promise<string> {
  const layout = join(directory, 'images')
  const captured = await snapshot([container.id, `oci:${layout}:v${number}`], options)
  const root = await unpackOwnLayers(layout, captured, join(directory, String(number)))
  describe(t, captured)
  return join(root, 'load')
}

async function ofRegistry(t: TestContext, lab: Lab, number: number): Promise<string> {
  const { engine, registry, container, directory, options } = lab
  const reference = `${registry.host}/load:v${number}`
  const captured = await snapshot([container.id, reference], options)
  await engine.docker(['pull', '--quiet', reference])
  const id = await engine.docker(['create', reference])
  await engine.docker(['cp', `${id}:/load`, join(directory, String(number))])
  await engine.docker(['rm', id])
  await engine.docker(['rmi', reference])
  describe(t, captured)
  return join(directory, String(number))
}

function describe(t: TestContext, { passes, frozenMs, barrierMs, torn }: Awaited<ReturnType<typeof snapshot>>): void {
  assert.deepEqual(torn, [])
  t.diagnostic(`${passes} passes, frozen for ${Math.round(frozenMs)} ms, barrier ${Math.round(barrierMs)} ms`)
}
