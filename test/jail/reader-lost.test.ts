import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { startContainer, type Container } from '#lab/container.ts'
import { labEngine, type Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { runTintype, startTintype } from '../support/command.ts'
import { readersBelow } from './reader-processes.ts'

/** attacks.md C14, from outside: a reader that says nothing any more, or ends, in the middle of a capture. */
const root = mkdtempSync(join(tmpdir(), 'tintype-reader-lost-'))
const LIMIT_MS = 240_000
let engine: Engine
let box: Container
before(async () => {
  engine = await labEngine('docker20')
  box = await startContainer(engine, await busyboxImage(engine))
  await box.exec(['sh', '-c', 'mkdir /work; for i in $(seq 300); do head -c 1000000 /dev/urandom > /work/$i; done'])
  // Names that would recolour the terminal, ring its bell and end the line.
  await box.exec([
    'sh',
    '-c',
    `touch "$(printf '/work/.wh.\\033[31mred\\007\\nline')" "$(printf '/work/\\302\\233csi.pem')"`,
  ])
})
after(async () => {
  await box.remove()
  await engine.stop()
  rmSync(root, { recursive: true })
})

/** Start a capture, do `signal` to its reader in the middle of the reading, and see how the capture ends. */
async function captureWith(
  tag: string,
  signals: { readonly reader: NodeJS.Signals; readonly command?: NodeJS.Signals },
) {
  const options = { home: join(root, 'home'), socketPath: engine.socketPath }
  const command = startTintype(['snapshot', box.id, `oci:${root}/images:${tag}`, '--json', '--quiet'], options)
  const timer = setTimeout(() => command.signal('SIGKILL'), LIMIT_MS)
  for (;;) {
    const [reader] = readersBelow(command.pid)
    if (reader !== undefined && isReading(reader)) {
      process.kill(reader, signals.reader)
      break
    }
    await pause(1)
  }
  if (signals.command) command.signal(signals.command)
  const { code, out } = await command.ended
  clearTimeout(timer)
  return { code, error: (JSON.parse(out) as { error?: { code: string; message: string } }).error }
}

/** It has written a frame: descriptor 3 is the spool's file for them. */
function isReading(reader: number): boolean {
  return (statSync(`/proc/${reader}/fd/3`, { throwIfNoEntry: false })?.size ?? 0) > 0
}

async function assertNothingLeft(tag: string): Promise<void> {
  const index = join(root, 'images/index.json')
  assert.ok(!existsSync(index) || !readFileSync(index, 'utf8').includes(`"${tag}"`), 'no tag')
  assert.deepEqual(readdirSync(join(root, 'home/spool')), [], 'no spool')
  assert.equal(await engine.docker(['inspect', '--format', '{{.State.Status}}', box.id]), 'running')
}

test('a reader that ends in the middle is a clear error, and nothing is published', async () => {
  const { code, error } = await captureWith('killed', { reader: 'SIGKILL' })
  assert.deepEqual([code, error?.code], [1, 'reader_failed'])
  assert.match(error!.message, /^The reader ended early/)
  await assertNothingLeft('killed')
})

test('a reader that says nothing any more does not hold up a cancel', async () => {
  const { code, error } = await captureWith('silent', { reader: 'SIGSTOP', command: 'SIGINT' })
  assert.deepEqual([code, error?.code], [130, 'cancelled'])
  await assertNothingLeft('silent')
})

test('names with newlines and escapes do not reach the terminal as they are', async () => {
  const options = { home: join(root, 'home'), socketPath: engine.socketPath }
  for (const args of [
    ['preview', box.id],
    ['preview', box.id, '--json'],
    ['snapshot', box.id, `oci:${root}/images:names`],
  ]) {
    const { code, out, err } = await runTintype(args, options)
    assert.equal(code, 0, err)
    assert.ok(out.includes('red'), 'the name is told')
    assert.doesNotMatch(out + err, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/, args.join(' '))
    assert.doesNotMatch(out + err, /^line/m)
  }
})
