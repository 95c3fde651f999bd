/**
 * `memory-sampler PID`: watch a process and all that it starts until it ends, then print what they took as one JSON
 * object. A process of its own, so that it measures while the others work. Memory is PSS (proc(5), smaps_rollup): a
 * page that several processes share counts once.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { sleep } from '#base/abort.ts'
import type { MemoryReport, ProcessReport } from './memory.ts'

const INTERVAL_MS = 50
const KB = 1024
const TICKS_PER_SECOND = 100 // USER_HZ, the same on every Linux

interface Watched {
  name: string
  pssBytes: number
  peakBytes: number
  atPeakBytes: number
  userSeconds: number
  systemSeconds: number
}

class Watch {
  readonly #root: number
  /** Those that have been seen: ours, and of strangers only that they are. */
  readonly #ours = new Map<number, Watched>()
  readonly #strangers = new Set<number>()
  #peakBytes = 0
  #samples = 0

  constructor(root: number) {
    this.#root = root
  }

  /** One look at all of them; false when the first has ended. */
  look(): boolean {
    this.#findChildren()
    let sum = 0
    for (const [pid, process] of this.#ours) sum += update(pid, process)
    if (sum > this.#peakBytes) {
      this.#peakBytes = sum
      for (const process of this.#ours.values()) process.atPeakBytes = process.pssBytes
    }
    this.#samples++
    return statOf(this.#root) !== undefined
  }

  report(): MemoryReport {
    const processes: readonly ProcessReport[] = [...this.#ours.values()].filter(({ peakBytes }) => peakBytes > 0)
    return { peakBytes: this.#peakBytes, samples: this.#samples, processes }
  }

  #findChildren(): void {
    for (const name of readdirSync('/proc')) {
      const pid = Number(name)
      if (!(pid > 0) || this.#ours.has(pid) || this.#strangers.has(pid)) continue
      const parent = statOf(pid)?.parentPid
      // Parents have lower numbers and so are known before their children, unless the numbers began again.
      if (pid === this.#root || (parent !== undefined && this.#ours.has(parent))) this.#ours.set(pid, freshlyWatched())
      else this.#strangers.add(pid)
    }
  }
}

function freshlyWatched(): Watched {
  return { name: '', pssBytes: 0, peakBytes: 0, atPeakBytes: 0, userSeconds: 0, systemSeconds: 0 }
}

/** Its memory now; one that has ended keeps what was seen last of its time. */
function update(pid: number, process: Watched): number {
  const stat = statOf(pid)
  process.pssBytes = stat ? pssOf(pid) : 0
  if (!stat || process.pssBytes === 0) return 0
  process.name = nameOf(pid, stat.command) ?? process.name
  process.peakBytes = Math.max(process.peakBytes, process.pssBytes)
  process.userSeconds = stat.userTicks / TICKS_PER_SECOND
  process.systemSeconds = stat.systemTicks / TICKS_PER_SECOND
  return process.pssBytes
}

function statOf(pid: number) {
  const text = readText(`/proc/${pid}/stat`)
  const end = text.lastIndexOf(')')
  const fields = text.slice(end + 2).split(' ') // from field 3 of proc(5) on
  if (end < 0 || fields[0] === 'Z') return undefined
  const [parentPid, userTicks, systemTicks] = [fields[1], fields[11], fields[12]].map(Number)
  return {
    command: text.slice(text.indexOf('(') + 1, end),
    parentPid,
    userTicks: userTicks!,
    systemTicks: systemTicks!,
  }
}

function pssOf(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readText(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * KB
}

/** `reader` for a Node that runs reader.mjs, else the program; undefined when it has ended meanwhile. */
function nameOf(pid: number, command: string): string | undefined {
  const words = readText(`/proc/${pid}/cmdline`)
  return words === '' ? undefined : (/([\w-]+)\.mjs\0/.exec(words)?.[1] ?? command)
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has ended
  }
}

const watch = new Watch(Number(process.argv[2]))
while (watch.look()) await sleep(INTERVAL_MS)
process.stdout.write(JSON.stringify(watch.report()))
