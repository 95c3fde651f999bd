/** Whatever the chain, the index, the clock or the disk goes through: the next image is right, and says why it is full. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { startRegistry } from '#lab/registry.ts'
import { encodeRecord, parseRecord, type IndexRecord } from '#snapshot/chain/record.ts'
import type { Captured } from '#snapshot/result.ts'
import { startTintype } from '../support/command.ts'
import { assertEnded, familyOf } from '../freeze/subject.ts'
import { openDeltaLab, type DeltaLab } from './lab.ts'

const IS_LONG = process.env['TINTYPE_TEST_LONG'] === '1'
const KILLS = IS_LONG ? 30 : 3
/** TINTYPE_TEST_SEED repeats the moments of an earlier run. */
const SEED = Number(process.env['TINTYPE_TEST_SEED'] ?? randomInt(2 ** 31))
const HOUR_MS = 3_600_000

const counter = { next: 0 }
/** Something in each layer: a new file, a longer one, one that is gone. */
function work(directory: string): void {
  const n = counter.next++
  const script = `mkdir -p d; echo ${n} > d/${n}; echo ${n} >> log; rm -rf d/${n - 2}; head -c 20000 /dev/urandom > data`
  execFileSync('sh', ['-c', script], { cwd: directory, stdio: 'ignore' })
}

/** Work and save; the image is right. */
async function saveRight(lab: DeltaLab, args: readonly string[] = []): Promise<Captured> {
  work(lab.work)
  const captured = await lab.save(args)
  await lab.assertRight(captured)
  return captured
}

const indexDirectory = ({ options, container }: DeltaLab) => join(options.home, 'index', container.id)
const indexFile = (lab: DeltaLab, ending: string) =>
  join(
    indexDirectory(lab),
    readdirSync(indexDirectory(lab)).find((name) => name.endsWith(ending))!,
  )

function changeRecord(lab: DeltaLab, change: (record: IndexRecord) => IndexRecord): void {
  const path = indexFile(lab, '.json')
  writeFileSync(path, encodeRecord(change(parseRecord(readFileSync(path, 'utf8'))!)))
}

/** Take a blob's bytes out of the registry's storage, as a garbage collection does. */
function lose({ registry }: DeltaLab, digest: string): void {
  const hex = digest.replace('sha256:', '')
  rmSync(join(registry.directory, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex), { recursive: true })
}

/** Ask the registry itself to forget a layer. */
async function deleteBlob({ registry }: DeltaLab, { reference, layers }: Captured): Promise<void> {
  const repository = reference.slice(registry.host.length + 1, reference.lastIndexOf(':'))
  const url = `http://${registry.host}/v2/${repository}/blobs/${layers[0]!.digest}`
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 202)
}

function flip(path: string): void {
  const bytes = readFileSync(path)
  const at = Math.floor(bytes.length / 3)
  bytes[at] = bytes[at]! ^ 1
  writeFileSync(path, bytes)
}

const GONE = 'a layer of the snapshots before is gone from the registry'
const DAMAGED = 'the index of the container is damaged'
const SET_BACK = 'the clock was set back since the snapshot before'

const FAULTS: readonly (readonly [
  what: string,
  spoil: (lab: DeltaLab, last: Captured) => void | Promise<void>,
  reason: string,
])[] = [
  ['a layer of the chain is deleted', (lab, last) => deleteBlob(lab, last), GONE],
  ['a layer is lost, and a cache still says that it is there', (lab, last) => lose(lab, last.layers[1]!.digest), GONE],
  ['a byte of the rows is another', (lab) => flip(indexFile(lab, '.rows')), DAMAGED],
  ['the rows are cut', (lab) => truncateSync(indexFile(lab, '.rows'), 1000), DAMAGED],
  ['a byte of the record is another', (lab) => flip(indexFile(lab, '.json')), `${DAMAGED}, or of another version`],
  ['the record is gone', (lab) => rmSync(indexFile(lab, '.json')), 'first snapshot of this container'],
  [
    'the clock is an hour earlier than it was',
    (lab) =>
      changeRecord(lab, ({ clock, ...record }) => ({
        ...record,
        clock: { ...clock, offsetMs: clock.offsetMs + HOUR_MS },
        takenAtMs: record.takenAtMs + HOUR_MS,
      })),
    SET_BACK,
  ],
]

for (const name of testedEngines().slice(0, IS_LONG ? undefined : 1))
  test(`${name}: faults`, { skip: whyNoEngine(name) }, async (t) => {
    t.diagnostic(`TINTYPE_TEST_SEED=${SEED}`)
    await using engine = await labEngine(name)
    await using registry = await startRegistry({ hasBlobCache: true })
    await using lab = await openDeltaLab({ engine, registry, fillBase: work })
    work(lab.work)
    await lab.save()
    for (const [what, spoil, reason] of FAULTS)
      await t.test(`full: ${what}`, async () => {
        work(lab.work)
        const last = await lab.save()
        assert.equal(last.mode, 'delta')
        await spoil(lab, last)
        const { mode, modeReason } = await saveRight(lab)
        assert.deepEqual([mode, modeReason], ['full', reason])
      })
    await t.test('full once, and a delta on that again', async () => assert.equal((await saveRight(lab)).mode, 'delta'))
    await t.test('a reboot: still a delta, and the image is right', async () => {
      changeRecord(lab, (record) => ({ ...record, clock: { ...record.clock, bootId: 'another' } }))
      assert.equal((await saveRight(lab)).mode, 'delta')
    })
    await t.test('no room for the index: the image is right, and the next one begins from the index before', () =>
      withoutRoom(lab),
    )
    await t.test('killed at random moments: each next image is right', (each) => killed(each, lab))
    await t.test('the last image is pulled and run', async () => lab.assertRuns(await saveRight(lab)))
  })

async function withoutRoom(lab: DeltaLab): Promise<void> {
  const index = join(lab.options.home, 'index')
  mkdirSync(index, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'delta-test', index])
  try {
    await saveRight(lab)
    execFileSync('sh', ['-c', 'mkdir many; cd many; seq 1000 | xargs touch'], { cwd: lab.work, stdio: 'ignore' })
    const full = await saveRight(lab)
    // Podman's image has another digest than what was pushed of it: that is told, too.
    const warnings = full.warnings.filter((each) => !each.startsWith('The base image was not found'))
    assert.deepEqual(warnings, [
      'The index for the next snapshot was not kept: The index of the container has no room: free space in TINTYPE_HOME, or set TINTYPE_HOME to a larger disk.',
    ])
    execFileSync('rm', ['-rf', 'many/1', 'many/2'], { cwd: lab.work, stdio: 'ignore' })
    const next = await saveRight(lab)
    assert.equal(next.mode, 'delta')
    assert.equal(next.layers.filter(({ reused }) => reused).length, 1, 'its chain does not have the layer in between')
    assert.ok(next.files > 900)
    execFileSync('rm', ['-rf', 'many'], { cwd: lab.work, stdio: 'ignore' })
  } finally {
    execFileSync('umount', ['--lazy', index]) // the kernel lets go of a process's files a moment after its end
  }
}

async function killed(t: TestContext, lab: DeltaLab): Promise<void> {
  const { container, options, registry } = lab
  const { totalMs } = await saveRight(lab)
  for (let i = 0; i < KILLS; i++) {
    const delayMs = ((((SEED + i * 7919) % 1000) / 1000 + i) / KILLS) * totalMs * 2
    work(lab.work)
    const running = startTintype(
      ['snapshot', container.id, `${registry.host}/killed/image:v1`, '--overwrite', '--quiet'],
      options,
    )
    await Promise.race([wait(delayMs), running.ended])
    const family = familyOf(running.pid)
    try {
      running.signal('SIGKILL')
    } catch {
      // it has ended
    }
    await running.ended
    await assertEnded(family, options.home)
    const { mode, modeReason } = await saveRight(lab)
    t.diagnostic(`killed after ${Math.round(delayMs)} ms, then ${mode}: ${modeReason}`)
  }
  const bodies = readdirSync(indexDirectory(lab)).filter((name) => name.endsWith('.rows'))
  assert.equal(bodies.length, 1, 'nothing of the killed ones is left')
}
