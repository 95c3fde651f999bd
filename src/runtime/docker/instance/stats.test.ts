import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EngineApi } from '#runtime/docker/api.ts'
import { openStats, parseReading } from './stats.ts'

interface Use {
  readonly atMs: number
  readonly cpuMs?: number
  readonly rx?: number
}

/** As Docker 20.10 and 28 answer, as far as it is read. */
const answer = ({ atMs, cpuMs = 0, rx = 0 }: Use) => ({
  read: new Date(1_700_000_000_000 + atMs).toISOString().replace('Z', '123456Z'),
  cpu_stats: { cpu_usage: { total_usage: cpuMs * 1e6 }, online_cpus: 4 },
  memory_stats: { usage: 300 << 20, limit: 400 << 20, stats: { total_inactive_file: 100 << 20 } },
  networks: { eth0: { rx_bytes: rx, tx_bytes: 10 }, eth1: { rx_bytes: 5, tx_bytes: 10 } },
  blkio_stats: {
    io_service_bytes_recursive: [
      { op: 'Read', value: 1000 },
      { op: 'write', value: 2000 },
      { op: 'Total', value: 3000 },
      { op: 'read', value: 1 },
    ],
  },
})
const STOPPED = { read: '0001-01-01T00:00:00Z', cpu_stats: { cpu_usage: { total_usage: 0 } }, memory_stats: {} }
const HANDLE = { kind: 'docker', containerId: 'c1', instanceId: 'dsw-1' } as const

function engineWith(readings: readonly object[], nanoCpus = 0): EngineApi {
  const left = [...readings]
  return {
    call: async (_, path) =>
      path.endsWith('/stats') ? (left.shift() ?? { message: 'gone' }) : { HostConfig: { NanoCpus: nanoCpus } },
  }
}

test('a reading, with cgroup v1 and v2, and without what is not there', () => {
  const reading = parseReading(answer({ atMs: 0, rx: 7 }))
  assert.equal(reading?.memoryBytes, 200 << 20)
  assert.deepEqual(reading.counters, { cpuNs: 0, netIn: 12, netOut: 20, diskRead: 1001, diskWrite: 2000 })
  const bare = { ...answer({ atMs: 0 }), networks: undefined, blkio_stats: { io_service_bytes_recursive: null } }
  const v2 = { ...bare, memory_stats: { usage: 50, limit: 100, stats: { inactive_file: 20 } } }
  assert.equal(parseReading(v2)?.memoryBytes, 30)
  assert.equal(parseReading(v2)?.counters.netIn, 0)
})

test('what does not run has no reading', () => {
  for (const value of [STOPPED, {}, { message: 'No such container' }, null, Buffer.alloc(0)])
    assert.equal(parseReading(value), undefined)
})

test('shares are of the limit where there is one, else of the host', async () => {
  const readings = [answer({ atMs: 0 }), answer({ atMs: 1000, cpuMs: 1000, rx: 2000 })]
  const limited = await openStats(engineWith(readings, 2e9)).read(HANDLE)
  assert.deepEqual([limited?.cpuPercent, limited?.memoryPercent, limited?.netInBytesPerSecond], [50, 50, 2000])
  const free = await openStats(engineWith(readings)).read(HANDLE)
  assert.equal(free?.cpuPercent, 25)
})

test('a later question is answered at once, with the mean since the one before', async () => {
  const readings = [answer({ atMs: 0 }), answer({ atMs: 1000 }), answer({ atMs: 11_000, cpuMs: 20_000, rx: 100 })]
  const stats = openStats(engineWith(readings))
  await stats.read(HANDLE)
  let later: Awaited<ReturnType<typeof stats.read>>
  void stats.read(HANDLE).then((answer) => (later = answer))
  await new Promise(setImmediate) // no time passes in which it could wait
  assert.deepEqual([later?.cpuPercent, later?.netInBytesPerSecond], [50, 10])
})

test('after it was started again its counters begin anew', async () => {
  const before = [answer({ atMs: 0, cpuMs: 5000 }), answer({ atMs: 1000, cpuMs: 6000 })]
  const after = [answer({ atMs: 9000, cpuMs: 10 }), answer({ atMs: 10_000, cpuMs: 2010 })]
  const stats = openStats(engineWith([...before, ...after]))
  await stats.read(HANDLE)
  assert.equal((await stats.read(HANDLE))?.cpuPercent, 50)
})

test('one that stops, or goes, between two readings has none', async () => {
  assert.equal(await openStats(engineWith([answer({ atMs: 0 }), STOPPED])).read(HANDLE), undefined)
  assert.equal(await openStats(engineWith([answer({ atMs: 0 })])).read(HANDLE), undefined)
  assert.equal(await openStats(engineWith([])).read(HANDLE), undefined)
})

test('a cancel ends the wait between two readings', async () => {
  const stats = openStats(engineWith([answer({ atMs: 0 })]))
  await assert.rejects(stats.read(HANDLE, AbortSignal.abort()), { code: 'cancelled' })
})
