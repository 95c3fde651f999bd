import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  counterFlaw,
  EVENTS,
  instanceFlaw,
  parseCounters,
  removeInstance,
  type CpuCounters,
  type Filters,
} from './instance.ts'

const STATS = `entries: 2
overrun: 131652
commit overrun: 3
bytes: 88
oldest event ts: 26481.359582
now ts: 26481.372556
dropped events: 7
read events: 4
`

test('the counters of a CPU', () => {
  assert.deepEqual(parseCounters(STATS), { overrun: 131652, commitOverrun: 3, dropped: 7, read: 4 })
})

test('a counter that is not there is no zero', () => {
  for (const name of ['overrun', 'commit overrun', 'dropped events', 'read events']) {
    const without = STATS.replace(new RegExp(`^${name}: .*\n`, 'm'), '')
    assert.ok(Object.values(parseCounters(without)).includes(NaN), name)
    assert.match(counterFlaw([parseCounters(without)], 4)!, /cannot be read/, name)
  }
})

const cpu = (counters: Partial<CpuCounters>): CpuCounters => ({
  ...{ overrun: 0, commitOverrun: 0, dropped: 0, read: 0 },
  ...counters,
})

const COUNTED: readonly [string, readonly CpuCounters[], number, RegExp | undefined][] = [
  ['nothing happened', [cpu({}), cpu({})], 0, undefined],
  ['all that was read was seen', [cpu({ read: 3 }), cpu({ read: 4 })], 7, undefined],
  ['one CPU overran', [cpu({ read: 3 }), cpu({ read: 4, overrun: 9 })], 7, /overran by 9 /],
  ['an interrupt overran its own event', [cpu({ commitOverrun: 1 })], 0, /overran by 1 /],
  ['an event was dropped', [cpu({}), cpu({ dropped: 2 })], 0, /dropped 2 /],
  ['somebody else has read from the trace', [cpu({ read: 8 })], 7, /of the 8 events .* 7 were seen/],
  ['somebody has emptied the trace', [cpu({ read: 0 })], 7, /of the 0 events .* 7 were seen/],
  ['there is no CPU', [], 0, /cannot be read/],
]
for (const [why, cpus, lines, flaw] of COUNTED) {
  test(`counters: ${why}`, () => {
    if (flaw) assert.match(counterFlaw(cpus, lines) ?? 'whole', flaw)
    else assert.equal(counterFlaw(cpus, lines), undefined)
  })
}

const home = mkdtempSync(join(tmpdir(), 'instance-'))
after(() => rmSync(home, { recursive: true }))

const FILTERS: Filters = { ctime_ns_xchg: 'dev == 52', inode_set_ctime_to_ts: 'dev == 52 && ctime_s >= 7' }

/** The files of an instance that has counted four events, as the kernel shows them. */
function fakeInstance(name: string): string {
  const instance = join(home, name)
  const put = (path: string, text: string) => {
    mkdirSync(join(instance, path, '..'), { recursive: true })
    writeFileSync(join(instance, path), text)
  }
  put('tracing_on', '1\n')
  for (const event of EVENTS) {
    put(`events/timestamp/${event}/enable`, '1\n')
    put(`events/timestamp/${event}/filter`, `${FILTERS[event]}\n`)
  }
  put('per_cpu/cpu0/stats', STATS.replace('131652', '0').replace('overrun: 3', 'overrun: 0').replace(': 7', ': 0'))
  return instance
}

test('an instance in which nothing was touched has no flaw', () => {
  assert.equal(instanceFlaw(fakeInstance('whole'), 4, FILTERS), undefined)
})

const TOUCHED: readonly [string, string, RegExp][] = [
  ['tracing_on', '0\n', /^tracing was switched off$/],
  ['events/timestamp/ctime_ns_xchg/enable', '0\n', /^the event ctime_ns_xchg was switched off$/],
  ['events/timestamp/ctime_ns_xchg/enable', '0*\n', /^the event ctime_ns_xchg was switched off$/],
  ['events/timestamp/inode_set_ctime_to_ts/enable', '0\n', /^the event inode_set_ctime_to_ts was switched off$/],
  ['events/timestamp/inode_set_ctime_to_ts/filter', 'none\n', /^the filter of inode_set_ctime_to_ts was changed$/],
  [
    'events/timestamp/inode_set_ctime_to_ts/filter',
    'dev == 52 && ctime_s >= 8\n',
    /^the filter of inode_set_ctime_to_ts was changed$/,
  ],
  ['events/timestamp/ctime_ns_xchg/filter', 'dev == 5\n', /^the filter of ctime_ns_xchg was changed$/],
  ['per_cpu/cpu0/stats', STATS, /^the trace overran by 131655 events$/],
]
for (const [index, [path, text, flaw]] of TOUCHED.entries()) {
  test(`${path} with ${JSON.stringify(text.slice(0, 10))} is a flaw`, () => {
    const instance = fakeInstance(String(index))
    writeFileSync(join(instance, path), text)
    assert.match(instanceFlaw(instance, 4, FILTERS) ?? 'whole', flaw)
  })
}

test('an instance that is gone cannot be looked at', () => {
  assert.throws(() => instanceFlaw(join(home, 'none'), 0, FILTERS), { code: 'ENOENT' })
})

test('to remove says whether it was there, and throws when it cannot', async () => {
  mkdirSync(join(home, 'empty'))
  assert.equal(await removeInstance(join(home, 'empty')), true)
  assert.ok(!existsSync(join(home, 'empty')))
  assert.equal(await removeInstance(join(home, 'empty')), false)
  const full = fakeInstance('full') // as one that is being read: it stays
  await assert.rejects(removeInstance(full), { code: 'ENOTEMPTY' })
  assert.equal(readFileSync(join(full, 'tracing_on'), 'utf8'), '1\n')
})
