import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig } from '#config/config.ts'
import type { Preview } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import { describePreview, runPreview } from './preview.ts'

const FOUND: Preview = {
  container: 'box',
  baseReference: 'python:3',
  mode: 'full',
  modeReason: 'first snapshot',
  entries: 1200,
  rawBytes: 5e6,
  largestDirectories: [{ path: '/opt', bytes: 4e6, entries: 1 }],
  largestFiles: [{ path: '/opt/a\x1b[1m', bytes: 4e6 }],
  excluded: [{ path: '/tmp', bytes: 10, entries: 2 }],
  likelySecrets: ['/root/.ssh/id_rsa'],
  skipped: [{ path: '/run/x.sock', reason: 'socket' }],
  unsavedMounts: ['/data'],
  warnings: ['Careful.'],
  totalMs: 120,
}

async function start(...args: string[]) {
  let out = ''
  let given: unknown
  const terminal = {
    out: (text: string) => void (out += text),
    err: () => assert.fail(),
    isInteractive: false,
    columns: () => 80,
  }
  const preview = async (_: Source, { signal: _signal, ...options }: { signal: AbortSignal }) => (
    (given = options),
    FOUND
  )
  const config = await readConfig({ TINTYPE_HOME: '/srv', TINTYPE_WORKERS: '3' })
  const locate = async (container: string) => (assert.equal(container, 'box'), {} as Source)
  const exitCode = await runPreview(args, { terminal, config, locate, preview }, new AbortController().signal)
  return { exitCode, out, given }
}

test('exclusions and configuration reach the engine, and --json prints exactly the result', async () => {
  const { exitCode, out, given } = await start('box', '--exclude', '/tmp', '--json')
  assert.equal(exitCode, 0)
  assert.deepEqual(given, { exclusions: ['/tmp'], home: '/srv', workers: 3 })
  assert.deepEqual(JSON.parse(out), FOUND)
})

test('the text names everything, and nothing in it can move the cursor', async () => {
  const { out } = await start('box')
  assert.equal(
    out,
    `A snapshot of box would take
  content     1 200 entries, 5.00 MB before compression
  base        python:3
  mode        full: first snapshot
  looked for  120 ms
Largest directories:
   4.00 MB  /opt  (1 entry)
Largest files:
   4.00 MB  /opt/a\\x1b[1m
Excluded:
      10 B  /tmp  (2 entries)
May hold a secret: exclude it, or everybody who pulls the image has it:
  /root/.ssh/id_rsa
Left out:
  /run/x.sock (socket)
Not saved, since something else is mounted there:
  /data
Warning: Careful.
`,
  )
})

test('a missing container is a mistake of usage', async () => {
  await assert.rejects(start('--json'), /tintype preview needs CONTAINER/)
})

test('the text says that layers would be merged, and why', () => {
  const squash = { layers: 33, reason: '33 layers would lie on the first base image, and 32 may' }
  assert.match(describePreview({ ...FOUND, squash }), /^ {2}squash +33 layers of this .*: 33 layers would lie/m)
})

test('of a delta the text says how much of it is new', () => {
  const text = describePreview({ ...FOUND, mode: 'delta', changed: { entries: 3, rawBytes: 2048 } })
  assert.match(text, /^ {2}new of it +3 entries, 2\.05 kB\n/m)
})
