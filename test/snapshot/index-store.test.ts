import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { identityOf, openNextIndex, readIndex, sweepIndexes } from '#snapshot/chain/index-store.ts'
import { openIndexLab, sourceOf, storeIndex, type IndexLab } from '../support/stored-index.ts'

const BODY = 'rows and names'
const files = ({ directory }: IndexLab, ending: string) =>
  readdirSync(directory).filter((name) => name.endsWith(ending))
const onlyFile = (lab: IndexLab, ending: string) => join(lab.directory, files(lab, ending)[0]!)

/** What a capture of the container finds: the body, or why there is none. */
async function found({ home, source }: IndexLab, exclusions: readonly string[] = []): Promise<string> {
  const index = await readIndex(home, identityOf(source, exclusions))
  if ('reason' in index) return index.reason
  await using kept = index
  return await kept.body.readFile('latin1')
}

test('what was kept is found again', async () => {
  using lab = openIndexLab()
  await storeIndex(lab)
  assert.equal(await found(lab), BODY)
  const modes = [lab.directory, ...files(lab, '').map((name) => join(lab.directory, name))].map(
    (path) => statSync(path).mode & 0o777,
  )
  assert.deepEqual(modes, [0o700, 0o600, 0o600])
})

const DAMAGED = 'the index of the container is damaged'
const OTHER = 'the container was made anew, or its base image is another'
const REASONS: readonly (readonly [why: string, spoil: (lab: IndexLab) => void | Promise<void>, reason: string])[] = [
  ['nothing was ever kept', ({ home }) => rmSync(join(home, 'index'), { recursive: true }), FIRST()],
  ['the body is gone', (lab) => rmSync(onlyFile(lab, '.rows')), DAMAGED],
  ['the body is empty', (lab) => truncateSync(onlyFile(lab, '.rows')), DAMAGED],
  ['the body is longer', (lab) => writeFileSync(onlyFile(lab, '.rows'), `${BODY}\0`), DAMAGED],
  ['the record is empty', (lab) => truncateSync(onlyFile(lab, '.json')), `${DAMAGED}, or of another version`],
  [
    'the upperdir is another by its inode',
    ({ source }) => {
      mkdirSync(`${source.upperdir}-new`) // before the old one goes: else it may get the same number
      execFileSync('mv', ['-T', `${source.upperdir}-new`, source.upperdir])
    },
    OTHER,
  ],
  [
    'the upperdir is another by its birth alone',
    (lab) => keepAs(lab, (identity) => ({ ...identity, birthNs: `${BigInt(identity.birthNs) - 1n}` })),
    OTHER,
  ],
  [
    'the upperdir is at another path',
    (lab) => keepAs(lab, (identity) => ({ ...identity, upperdir: '/elsewhere' })),
    OTHER,
  ],
  ['the base is another', (lab) => keepAs(lab, (identity) => ({ ...identity, base: sha('another') })), OTHER],
  ['it is of another container', (lab) => keepAs(lab, (identity) => ({ ...identity, containerId: 'beef' })), OTHER],
]
function FIRST(): string {
  return 'first snapshot of this container'
}

const sha = (text: string) => identityOf(sourceOf('/', '', text), []).base

/** Leave an index that is bound to something else, under the name that this container's has. */
async function keepAs(
  lab: IndexLab,
  change: (identity: ReturnType<typeof identityOf>) => ReturnType<typeof identityOf>,
): Promise<void> {
  await storeIndex(lab, { record: { identity: change(identityOf(lab.source, [])) } })
}

for (const [why, spoil, reason] of REASONS)
  test(`no index that counts: ${why}`, async () => {
    using lab = openIndexLab()
    await storeIndex(lab)
    await spoil(lab)
    assert.equal(await found(lab), reason)
  })

test('no index that counts: the exclusions are others, in whatever order they are given', async () => {
  using lab = openIndexLab()
  await storeIndex(lab, { exclusions: ['/b', '/a', '/b'] })
  assert.equal(await found(lab, ['/a', '/b']), BODY)
  for (const others of [[], ['/a'], ['/a', '/b', '/c']])
    assert.equal(await found(lab, others), 'the exclusions are others than those of the snapshots before')
})

test('a body that is cut or changed anywhere is damaged', async () => {
  using lab = openIndexLab()
  await storeIndex(lab, { body: 'x'.repeat(100_000) })
  const path = onlyFile(lab, '.rows')
  const whole = readFileSync(path)
  const place = fc.nat({ max: whole.length - 1 })
  await fc.assert(
    fc.asyncProperty(place, fc.integer({ min: 1, max: 255 }), async (at, bits) => {
      const changed = Buffer.from(whole)
      changed[at] = changed[at]! ^ bits
      for (const spoiled of [changed, whole.subarray(0, at)]) {
        writeFileSync(path, spoiled)
        assert.equal(await found(lab), DAMAGED)
      }
    }),
    { numRuns: 50 },
  )
  writeFileSync(path, whole)
  assert.equal(await found(lab), whole.toString())
})

test('a record that is cut or changed anywhere is damaged', async () => {
  using lab = openIndexLab()
  await storeIndex(lab)
  const path = onlyFile(lab, '.json')
  const whole = readFileSync(path)
  for (let at = 0; at < whole.length; at++) {
    const changed = Buffer.from(whole)
    changed[at] = changed[at]! ^ 0x80
    for (const spoiled of [changed, whole.subarray(0, at)]) {
      writeFileSync(path, spoiled)
      assert.equal(await found(lab), `${DAMAGED}, or of another version`, `byte ${at}`)
    }
  }
})

test('a record that cannot be read is no reason to fail', async () => {
  using lab = openIndexLab()
  await storeIndex(lab)
  for (const ending of ['.rows', '.json']) {
    const path = onlyFile(lab, ending)
    rmSync(path)
    mkdirSync(path)
    assert.match(await found(lab), /^the index of the container is damaged/)
  }
})

test('the index of before counts until the next one is kept, and nothing of it is left then', async () => {
  using lab = openIndexLab()
  await storeIndex(lab, { body: 'old' })
  const identity = identityOf(lab.source, [])
  {
    await using next = await openNextIndex(lab.home, identity)
    await next.body.write('half')
    assert.equal(await found(lab), 'old')
    await next.seal()
    assert.equal(await found(lab), 'old')
  }
  assert.equal(files(lab, '.rows').length, 1, 'an index that was not kept is gone')
  await storeIndex(lab, { body: 'new' })
  assert.equal(await found(lab), 'new')
  assert.deepEqual([files(lab, '.rows').length, files(lab, '').length], [1, 2])
})

test('what a crash leaves behind is never used, and removed by the next index', async () => {
  using lab = openIndexLab()
  await storeIndex(lab, { body: 'old' })
  const [record = ''] = files(lab, '.json')
  writeFileSync(join(lab.directory, record.replace('.json', '-crashed.rows')), 'a body without a record')
  writeFileSync(join(lab.directory, `${record}.crashed`), 'a record that was never renamed')
  assert.equal(await found(lab), 'old')
  await storeIndex(lab, { body: 'new' })
  assert.equal(await found(lab), 'new')
  assert.equal(files(lab, '').length, 2)
})

test('four sets of exclusions have an index each; a fifth takes the place of the one that is longest unused', async () => {
  using lab = openIndexLab()
  const names = ['/1', '/2', '/3', '/4', '/5']
  for (const [i, name] of names.entries()) {
    await storeIndex(lab, { exclusions: [name], body: name })
    const newest = files(lab, '.json').map((each) => join(lab.directory, each))
    const path = newest.find((each) => readFileSync(each, 'utf8').includes(`"exclusions":["${name}"]`))
    utimesSync(path!, 1000 + i, 1000 + i)
  }
  const bodies = await Promise.all(names.map((name) => found(lab, [name])))
  assert.deepEqual(bodies, ['the exclusions are others than those of the snapshots before', '/2', '/3', '/4', '/5'])
  assert.deepEqual([files(lab, '.json').length, files(lab, '.rows').length], [4, 4])
})

const DAY_MS = 86_400_000

/** Indexes of one home, each of a container of its own. */
function neighbour(lab: IndexLab, containerId: string): IndexLab {
  const upperdir = join(lab.home, `upper-${containerId}`)
  mkdirSync(upperdir)
  return { ...lab, source: sourceOf(upperdir, containerId), directory: join(lab.home, 'index', containerId) }
}

test('the sweep removes the indexes of containers that are no more, and no others', async () => {
  using lab = openIndexLab('lives')
  const gone = neighbour(lab, 'gone')
  const damaged = neighbour(lab, 'damaged')
  for (const each of [lab, gone, damaged]) await storeIndex(each)
  rmSync(gone.source.upperdir, { recursive: true })
  truncateSync(onlyFile(damaged, '.json'))
  const begun = neighbour(lab, 'begun')
  await using _next = await openNextIndex(lab.home, identityOf(begun.source, []))
  await sweepIndexes(lab.home)
  assert.deepEqual(readdirSync(join(lab.home, 'index')).toSorted(), ['begun', 'damaged', 'lives'])
  assert.equal(await found(lab), BODY)
})

test('what says nothing of its container is swept after a day', async () => {
  using lab = openIndexLab('lives')
  await storeIndex(lab)
  const makers: Record<string, (directory: string) => void> = {
    'crashed-in-its-first-capture': (directory) => writeFileSync(join(directory, 'x.rows'), ''),
    'failed-in-its-first-capture': () => {},
    'damaged-and-gone': (directory) => writeFileSync(join(directory, 'x.json'), 'x'),
  }
  const old = new Date(Date.now() - 2 * DAY_MS)
  for (const [name, make] of Object.entries(makers)) {
    const directory = join(lab.home, 'index', name)
    mkdirSync(directory)
    make(directory)
    utimesSync(directory, old, old)
  }
  utimesSync(lab.directory, old, old)
  await sweepIndexes(lab.home)
  assert.deepEqual(readdirSync(join(lab.home, 'index')), ['lives'])
})

test('a sweep of a home without indexes, or with something else there, does nothing', async () => {
  using lab = openIndexLab()
  await sweepIndexes(lab.home)
  writeFileSync(join(lab.home, 'index'), '')
  await sweepIndexes(lab.home)
})

/** A file system of a few pages. */
function smallDisk(path: string): Disposable {
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'index-test', path])
  return { [Symbol.dispose]: () => void execFileSync('umount', [path]) }
}

test('on a full disk the next index cannot be kept, and the one before counts', async () => {
  using lab = openIndexLab()
  using _disk = smallDisk(join(lab.home, 'index'))
  await storeIndex(lab, { body: 'old' })
  const fill = () => assert.throws(() => writeFileSync(join(lab.home, 'index', 'filler'), Buffer.alloc(1 << 20)))
  {
    await using next = await openNextIndex(lab.home, identityOf(lab.source, []))
    await next.body.write('new')
    const digest = await next.seal()
    fill()
    const record = { metExclusions: [], stubs: ['/x'.repeat(5000)], clock: { bootId: '', offsetMs: 0 }, takenAtMs: 1 }
    const counts = { rows: 1, nameBytes: 2, digest }
    const identity = identityOf(lab.source, [])
    const chain = { repository: '', captures: 1, baseLayers: 1, layers: [], contentBytes: 0, writtenBytes: 0 }
    await assert.rejects(next.keep({ identity, chain, ...record }, counts), { code: 'ENOSPC' })
  }
  assert.equal(await found(lab), 'old')
  assert.deepEqual([files(lab, '.rows').length, files(lab, '').length], [1, 2])
  rmSync(join(lab.home, 'index', 'filler'))
  await storeIndex(lab, { body: 'newer' })
  assert.equal(await found(lab), 'newer')
})
