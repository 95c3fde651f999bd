import { sleep } from '#base/abort.ts'
import type { EngineApi } from '#runtime/docker/api.ts'
import { list, number, object, text } from '#runtime/docker/json.ts'
import type { RuntimeHandle, RuntimeStats } from '#runtime/runtime.ts'

/** What has been used since the container was started, at one moment. */
interface Reading {
  readonly timeMs: number
  readonly memoryBytes: number
  readonly memoryLimitBytes: number
  readonly hostCores: number
  readonly counters: Readonly<Record<Counter, number>>
}

const COUNTERS = ['cpuNs', 'netIn', 'netOut', 'diskRead', 'diskWrite'] as const
type Counter = (typeof COUNTERS)[number]

export interface StatsReader {
  /** As `Runtime.stats`. */
  read(handle: RuntimeHandle, signal?: AbortSignal): Promise<RuntimeStats | undefined>
}

/** Between two readings: in less time a rate says little. */
const APART_MS = 1000
const NEAR_MS = APART_MS / 2
const NANO = 1e9

/** Reads what instances use. The last reading of each is kept, so that a rate is the mean since then. */
export function openStats(api: EngineApi): StatsReader {
  const known = new Map<string, Reading>()
  const readTwice = async (id: string, signal?: AbortSignal): Promise<readonly [Reading, Reading] | undefined> => {
    const before = known.get(id)
    const now = await readOnce(api, id, signal)
    if (!now) return undefined
    if (before && isLater(now, before)) return [before, now]
    await sleep(APART_MS, signal)
    const later = await readOnce(api, id, signal)
    return later && isLater(later, now) ? [now, later] : undefined
  }
  return {
    async read({ containerId }, signal) {
      const readings = await readTwice(containerId, signal)
      if (!readings) {
        known.delete(containerId)
        return undefined
      }
      const [before, now] = readings
      known.set(containerId, now)
      return compare(before, now, (await readLimit(api, containerId, signal)) || now.hostCores)
    },
  }
}

/** False also when it was started anew in between: its counters began again. */
function isLater(now: Reading, before: Reading): boolean {
  const hasGrown = COUNTERS.every((name) => now.counters[name] >= before.counters[name])
  return hasGrown && now.timeMs - before.timeMs >= NEAR_MS
}

async function readOnce(api: EngineApi, id: string, signal?: AbortSignal): Promise<Reading | undefined> {
  const query = { stream: 'false', 'one-shot': 'true' }
  return parseReading(await api.call('GET', `/containers/${id}/stats`, { query, accept: [404, 409], signal }))
}

/** Cores that it may use; 0: all. */
async function readLimit(api: EngineApi, id: string, signal?: AbortSignal): Promise<number> {
  const { HostConfig } = object(await api.call('GET', `/containers/${id}/json`, { accept: [404], signal }))
  return number(object(HostConfig).NanoCpus) / NANO
}

/** The answer of `GET /containers/ID/stats`; undefined when it does not run: engines give a time of the year 1 then. */
export function parseReading(value: unknown): Reading | undefined {
  const { read, cpu_stats, memory_stats, networks, blkio_stats } = object(value)
  const timeMs = Date.parse(text(read))
  const { cpu_usage, online_cpus } = object(cpu_stats)
  if (!(timeMs > 0) || number(online_cpus) === 0) return undefined
  const memory = object(memory_stats)
  const details = object(memory.stats)
  // As `docker stats`: pages of files that nobody has used lately are not the instance's need. cgroup v1 and v2.
  const cache = number(details['total_inactive_file']) || number(details['inactive_file'])
  const net = Object.values(object(networks)).map(object)
  const disk = list(object(blkio_stats).io_service_bytes_recursive).map(object)
  const diskOf = (op: string) =>
    total(disk.filter((entry) => text(entry.op).toLowerCase() === op).map((entry) => number(entry.value)))
  return {
    timeMs,
    hostCores: number(online_cpus),
    memoryBytes: Math.max(0, number(memory.usage) - cache),
    memoryLimitBytes: number(memory.limit),
    counters: {
      cpuNs: number(object(cpu_usage).total_usage),
      netIn: total(net.map((each) => number(each['rx_bytes']))),
      netOut: total(net.map((each) => number(each['tx_bytes']))),
      diskRead: diskOf('read'),
      diskWrite: diskOf('write'),
    },
  }
}

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0)

function compare(before: Reading, now: Reading, cores: number): RuntimeStats {
  const ms = now.timeMs - before.timeMs
  const perSecond = (name: Counter) => Math.round(((now.counters[name] - before.counters[name]) / ms) * 1000)
  return {
    timeMs: now.timeMs,
    cpuPercent: share(perSecond('cpuNs'), cores * NANO),
    memoryBytes: now.memoryBytes,
    memoryPercent: share(now.memoryBytes, now.memoryLimitBytes),
    netInBytesPerSecond: perSecond('netIn'),
    netOutBytesPerSecond: perSecond('netOut'),
    diskReadBytesPerSecond: perSecond('diskRead'),
    diskWriteBytesPerSecond: perSecond('diskWrite'),
  }
}

/** Percent, two digits. Never more than all: clocks of kernel and engine differ a little. */
function share(part: number, whole: number): number {
  return whole > 0 ? Math.min(100, Math.round((part / whole) * 10_000) / 100) : 0
}
