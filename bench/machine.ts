import { availableParallelism, loadavg, release, totalmem } from 'node:os'

/** Where and how something was measured. */
export interface Machine {
  readonly command: string
  readonly date: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  /** Of the last minute, when this was asked. */
  readonly loadAverage: number
}

/** This machine, and the command line that makes the same measurement again. */
export function thisMachine(script: 'bench' | `bench:${string}`, args: readonly string[]): Machine {
  return {
    command: [`npm run ${script}`, ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
    date: new Date().toISOString().slice(0, 10),
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.versions.node,
    loadAverage: loadavg()[0]!,
  }
}

/** How a section was made: the command, and on what. */
export function describeMachine({ command, date, cores, memoryGb, kernel, node, loadAverage }: Machine): string {
  return `Made by \`${command}\` on ${date}: ${cores} cores, ${memoryGb} GB, Linux ${kernel}, Node ${node}; load average ${loadAverage.toFixed(1)} at the start.`
}
