/**
 * Changes that leave no trace in a file's timestamps (attacks.md A1, A2, A11), made at the worst moment of a live pass. Each
 * is saved where the rule of trust holds, and lost where it is broken: by that, these tests are known to be able to fail.
 */
import assert from 'node:assert/strict'
import { lstatSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { sleep } from '#base/abort.ts'
import { systemClock } from '#base/clock.ts'
import { syncFileSystem } from '#snapshot/sync-file-system.ts'
import { ReaderRun, type Saved } from '../snapshot/reader-run.ts'
import { startSilentWriter, type SilentWriter } from './silent-writer.ts'
import { SmallDisk } from './small-disk.ts'

const BYTES = 4 << 20
/** Longer than the margin of the rule: what changed before it may be trusted. */
const LONG_AGO_MS = 60

interface Lab {
  readonly disk: SmallDisk
  readonly path: string
  readonly writer: SilentWriter
  readonly reader: ReaderRun
}

/** A file of one letter, on a disk of its own, with a writer and a reader that know it. */
async function inLab(work: (lab: Lab) => Promise<void>): Promise<void> {
  using disk = new SmallDisk()
  const path = join(disk.directory, 'file')
  writeFileSync(path, 'o'.repeat(BYTES), { flush: true })
  await using writer = startSilentWriter()
  await using reader = await ReaderRun.open(disk.directory)
  await work({ disk, path, writer, reader })
}

const now = () => Number(systemClock.wallNs() / 1000n)

async function sync({ disk }: Lab): Promise<void> {
  assert.equal(await syncFileSystem(disk.directory, 120_000), true)
}

/** The freeze: how many entries it takes, and which letters the image's file has then. */
async function freeze({ reader }: Lab): Promise<readonly [files: number, letters: string]> {
  const kept = await reader.keep()
  assert.ok(kept.isOneState && kept.isWithinBudget)
  await reader.pack()
  return [kept.files, letters(join(await reader.unpack(), 'file'))]
}

const letters = (path: string) => [...new Set(readFileSync(path, 'latin1'))].join('').replaceAll('\0', '0')
const ctimeOf = ({ path }: Lab) => lstatSync(path, { bigint: true }).ctimeNs

async function mapped(lab: Lab): Promise<void> {
  await lab.writer.tell(`map ${lab.path}`)
  await lab.writer.tell('store a')
  await sleep(LONG_AGO_MS)
}

test('a store to a mapped file after the pass: the sync before the pass makes it show', () =>
  inLab(async (lab) => {
    await mapped(lab)
    const synced = now()
    await sync(lab)
    await lab.reader.pass(synced)
    const read = ctimeOf(lab)
    await lab.writer.tell('store b')
    assert.notEqual(ctimeOf(lab), read)
    assert.deepEqual(await freeze(lab), [1, 'b'])
  }))

test('a file that holds still after that sync is not read a second time', () =>
  inLab(async (lab) => {
    await mapped(lab)
    const synced = now()
    await sync(lab)
    await lab.reader.pass(synced)
    assert.deepEqual(await freeze(lab), [0, 'a'])
  }))

test('a store to a mapped file after the pass: the sync of each file makes it show where the whole was too slow', () =>
  inLab(async (lab) => {
    await mapped(lab)
    await lab.reader.pass(now(), { syncsEachFile: true })
    await lab.writer.tell('store b')
    assert.deepEqual(await freeze(lab), [1, 'b'])
  }))

test('a store to a mapped file after the pass: without any sync, what was read is not trusted, and taken again', () =>
  inLab(async (lab) => {
    await mapped(lab)
    await lab.reader.pass(0)
    const read = ctimeOf(lab)
    await lab.writer.tell('store b')
    assert.equal(ctimeOf(lab), read, 'the store is silent')
    assert.deepEqual(await freeze(lab), [2, 'b']) // the directory is not trusted either
  }))

test('a store to a mapped file a moment before the sync is within the margin, and taken again', () =>
  inLab(async (lab) => {
    await lab.writer.tell(`map ${lab.path}`)
    await sync(lab)
    await lab.writer.tell('store a')
    const stored = Number(ctimeOf(lab) / 1000n)
    await lab.reader.pass(stored + 15_000)
    await lab.writer.tell('store b')
    assert.deepEqual(await freeze(lab), [1, 'b'])
  }))

test('the rule broken: trusted without a sync, a store to a mapped file is lost', () =>
  inLab(async (lab) => {
    await mapped(lab)
    await lab.reader.pass(now())
    const read = ctimeOf(lab)
    await lab.writer.tell('store b')
    assert.equal(ctimeOf(lab), read, 'the store is silent')
    assert.equal(letters(lab.path), 'b')
    assert.deepEqual(await freeze(lab), [0, 'a'])
  }))

test('a freeze alone is no reason to trust what it saw: the pass after it reads that again', () =>
  inLab(async (lab) => {
    await mapped(lab)
    await lab.reader.pass(0)
    assert.equal((await lab.reader.keep({ budgetBytes: 0 })).isWithinBudget, false)
    await lab.writer.tell('store b')
    await sleep(LONG_AGO_MS)
    const synced = now()
    await sync(lab)
    assert.equal((await lab.reader.pass(synced)).files, 2)
    assert.deepEqual(await freeze(lab), [0, 'b'])
  }))

/** A live pass in the middle of one write(2); the file's times are the same before and after its second half. */
async function duringWrite(lab: Lab, trustsFrom: (moments: { barrier: number; synced: number }) => number) {
  const { writer, path, reader } = lab
  await sleep(LONG_AGO_MS)
  const barrier = now()
  await writer.tell(`write ${path}`)
  await sleep(LONG_AGO_MS)
  const synced = now()
  await sync(lab)
  await reader.pass(trustsFrom({ barrier, synced }))
  const { ctimeNs, mtimeNs, size } = lstatSync(path, { bigint: true })
  await writer.tell('release')
  const after = lstatSync(path, { bigint: true })
  assert.deepEqual([after.ctimeNs, after.mtimeNs, after.size], [ctimeNs, mtimeNs, size], 'its rest is silent')
  assert.equal(letters(path), 'n0')
  return freeze(lab)
}

test('a write(2) that began after the barrier and is read in its middle is taken again', () =>
  inLab(async (lab) => {
    const [files, content] = await duringWrite(lab, ({ barrier, synced }) => Math.min(barrier, synced))
    assert.deepEqual([files, content], [1, 'n0'])
  }))

test('the rule broken: trusted from the sync alone, the second half of that write(2) is lost', () =>
  inLab(async (lab) => {
    const [files, content] = await duringWrite(lab, ({ synced }) => synced)
    assert.deepEqual([files, content], [0, 'no'])
  }))

/** A capture whose only pass is frozen, as a delta's is: how many entries it takes, the letters of its file, and what it leaves. */
async function capture(lab: Omit<Lab, 'reader'>, { readMicros, before }: { readMicros: number; before?: Saved }) {
  await using reader = await ReaderRun.open(lab.disk.directory, {}, before)
  const kept = await reader.keep({ readMicros })
  assert.ok(kept.isOneState && kept.isWithinBudget)
  await reader.pack(readMicros)
  const content = kept.files > 0 ? letters(join(await reader.unpack(), 'file')) : ''
  return { files: kept.files, content, saved: await reader.save() }
}

/**
 * Two captures, and one silent store between them, after the thaw of the first. What the second takes: an index that trusted
 * too much would make a miss permanent, for every later delta.
 */
async function acrossCaptures(
  trustsFrom: (moments: { synced: number; frozen: number }) => number,
  storedAfterSync = false,
): Promise<readonly [files: number, letters: string]> {
  const taken: (readonly [number, string])[] = []
  await inLab(async (lab) => {
    await mapped(lab)
    const synced = now()
    await sync(lab)
    await sleep(LONG_AGO_MS)
    if (storedAfterSync) {
      await lab.writer.tell('store a')
      await sleep(LONG_AGO_MS)
    }
    using first = (await capture(lab, { readMicros: trustsFrom({ synced, frozen: now() }) })).saved
    const read = ctimeOf(lab)
    await lab.writer.tell('store b')
    assert.equal(
      ctimeOf(lab) === read,
      storedAfterSync,
      'the store is silent if the page was written to after the sync',
    )
    const syncedAgain = now()
    const { files, content, saved } = await capture(lab, { readMicros: syncedAgain, before: first })
    saved[Symbol.dispose]()
    taken.push([files, content])
  })
  return taken[0]!
}

const bySync = ({ synced }: { readonly synced: number }) => synced

test('across captures: a store to a mapped file that was synced before the first shows, and is taken by the second', async () =>
  assert.deepEqual(await acrossCaptures(bySync), [1, 'b']))

test('across captures: a silent store is taken by the second, because the first did not trust what was stored after its sync', async () =>
  assert.deepEqual(await acrossCaptures(bySync, true), [1, 'b']))

test('across captures: where the sync did not return, all is taken again', async () =>
  assert.deepEqual(await acrossCaptures(() => 0, true), [2, 'b']))

test('the rule broken: an index that trusts from the freeze loses a silent store for good', async () =>
  assert.deepEqual(await acrossCaptures(({ frozen }) => frozen, true), [0, '']))

test('across captures: the second half of a write(2) that the freeze of the first could not see is taken by the second', () =>
  inLab(async (lab) => {
    await sleep(LONG_AGO_MS)
    const synced = now()
    await sync(lab)
    await lab.writer.tell(`write ${lab.path}`)
    const first = await capture(lab, { readMicros: synced })
    assert.equal(first.content, 'no')
    const { ctimeNs, size } = lstatSync(lab.path, { bigint: true })
    await lab.writer.tell('release')
    const after = lstatSync(lab.path, { bigint: true })
    assert.deepEqual([after.ctimeNs, after.size], [ctimeNs, size], 'its rest is silent')
    await sleep(LONG_AGO_MS)
    const second = await capture(lab, { readMicros: now(), before: first.saved })
    assert.deepEqual([second.files, second.content], [1, 'n0'])
    for (const { saved } of [first, second]) saved[Symbol.dispose]()
  }))

test('a trusted row stays so from capture to capture, and is not read again', () =>
  inLab(async (lab) => {
    await mapped(lab)
    const synced = now()
    await sync(lab)
    let before = (await capture(lab, { readMicros: synced })).saved
    for (let number = 2; number <= 4; number++) {
      const next = await capture(lab, { readMicros: 0, before })
      before[Symbol.dispose]()
      before = next.saved
      assert.equal(next.files, 0, `capture ${number}`)
    }
    await lab.writer.tell('store b')
    const last = await capture(lab, { readMicros: 0, before })
    for (const saved of [before, last.saved]) saved[Symbol.dispose]()
    assert.deepEqual([last.files, last.content], [1, 'b'])
  }))
