import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { extract } from 'tar-stream'
import type { Captured } from '#snapshot/result.ts'
import { startContainer } from '#lab/container.ts'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { debianImage } from '#lab/images.ts'
import { startTintype } from '../support/command.ts'

/**
 * A hostile process in the container swaps directories and files for links to the host while it is read (CVE-2018-15664,
 * CVE-2023-0778). Whatever happens: no byte of the host, and nothing under the path of another file.
 */
const CAPTURES = process.env['TINTYPE_TEST_LONG'] === '1' ? 200 : 8
const LIMIT_MS = 240_000
const SIZE = 4096
const attacker = readFileSync('test/jail/attacker.py', 'utf8')

for (const name of testedEngines()) {
  test(`${CAPTURES} captures under attack: ${name}`, { skip: whyNoEngine(name) }, async () => {
    const root = mkdtempSync(join(tmpdir(), 'tintype-hostile-'))
    const canary = makeCanary(join(root, 'canary'))
    try {
      await using engine = await labEngine(name)
      await using container = await startContainer(engine, await debianImage(engine), {
        command: ['python3', '-c', attacker, join(root, 'canary')],
      })
      await container.exec(['sh', '-c', 'until [ -e /work/ready ]; do sleep 0.05; done'])
      let seen = 0
      for (let i = 0; i < CAPTURES; i++) {
        const options = { home: join(root, 'home'), socketPath: engine.socketPath }
        const mode = i % 2 === 0 ? [] : ['--no-freeze']
        const layers = await capture([container.id, `oci:${root}/images:v${i}`, ...mode], options)
        for (const layer of layers) seen += await judge(layer, canary)
      }
      assert.ok(seen > CAPTURES, `the attack is in the layers: ${seen} files`)
    } finally {
      rmSync(root, { recursive: true })
    }
  })
}

/** Files of the host with the container's names and sizes; what they hold must never be seen. */
function makeCanary(directory: string): string {
  const canary = `canary-${randomBytes(16).toString('hex')}`
  const content = Buffer.alloc(SIZE, `${canary}\n`)
  for (let d = 0; d < 12; d++) {
    mkdirSync(join(directory, `d${d}`), { recursive: true })
    for (let f = 0; f < 12; f++) writeFileSync(join(directory, `d${d}/f${f}`), content)
  }
  mkdirSync(join(directory, 'kinds'))
  for (let k = 0; k < 20; k++) writeFileSync(join(directory, `kinds/k${k}`), content)
  return canary
}

/** One capture that ends in time, saved or partial: its layers as tars. */
async function capture(
  args: readonly string[],
  options: { home: string; socketPath: string },
): Promise<readonly Buffer[]> {
  const command = startTintype(['snapshot', ...args, '--json', '--quiet'], options)
  const timer = setTimeout(() => command.signal('SIGKILL'), LIMIT_MS)
  const { code, out, err } = await command.ended
  clearTimeout(timer)
  assert.ok(code === 0 || (code === 7 && args.includes('--no-freeze')), `exit code ${code}: ${err}${out}`)
  const { layers, reference } = JSON.parse(out) as Captured
  const directory = reference.slice('oci:'.length, reference.lastIndexOf(':'))
  // Two passes of a capture may make the same layer.
  return [...new Set(layers.map(({ digest }) => digest))].map((digest) => {
    const blob = join(directory, 'blobs', digest.replace(':', '/'))
    const tar = gunzipSync(readFileSync(blob))
    rmSync(blob)
    return tar
  })
}

/** How many files of the attack are in the layer; none has a byte of the host, or the content of another path. */
async function judge(layer: Buffer, canary: string): Promise<number> {
  assert.ok(!layer.includes(canary), 'a byte of the host is in a layer')
  let seen = 0
  for await (const entry of Readable.from([layer]).pipe(extract())) {
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(chunk as Buffer)
    const path = /^work\/((?:d\d+|churn|kinds)(?:\.swap)?\/.*)$/.exec(entry.header.name)?.[1]
    if (path === undefined || entry.header.type !== 'file') continue
    seen++
    const content = Buffer.concat(chunks)
    const own = Buffer.from(`path:${path.replaceAll('.swap', '')}\n`.padEnd(SIZE, '.'))
    // A file that went while it was read is cut or filled with zeros, and said to be torn.
    const length = content.findLastIndex((byte) => byte !== 0) + 1
    const isOwn = content.subarray(0, length).equals(own.subarray(0, length))
    assert.ok(isOwn, `${path} has the content of another path: ${content.toString('latin1', 0, 40)}`)
  }
  return seen
}
