import { parseArgs } from 'node:util'
import { AppError } from '#base/errors.ts'
import type { EngineName } from '#lab/engine.ts'

export interface BenchOptions {
  /** Of the reference work: 1 is 130 000 files and 2.6 GB. */
  readonly scale: number
  readonly engines: readonly EngineName[]
  readonly runs: number
  /** `docker commit && docker push` takes minutes: it has a count of its own. */
  readonly commitRuns: number
  /** With a cold page cache; 0 leaves it out. */
  readonly coldRuns: number
  /** Also against the other engines that this machine has. */
  readonly hasPeers: boolean
  /** Also the peak of memory with ten times the bytes. */
  readonly isLarge: boolean
  readonly jsonPath?: string
  readonly writePath?: string
}

const SYNTAX = {
  scale: { type: 'string', default: '1' },
  engine: { type: 'string', default: 'docker20' },
  runs: { type: 'string', default: '3' },
  'commit-runs': { type: 'string', default: '1' },
  'cold-runs': { type: 'string', default: '1' },
  peers: { type: 'boolean', default: false },
  large: { type: 'boolean', default: false },
  json: { type: 'string' },
  write: { type: 'string' },
} as const
const ENGINES: Readonly<Record<string, readonly EngineName[]>> = {
  docker20: ['docker20'],
  docker28: ['docker28'],
  both: ['docker20', 'docker28'],
}
const SMALLEST_SCALE = 0.001

/** What to measure, from the command line. Throws `usage_invalid`. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const given = parse(args)
  const engines = ENGINES[given.engine]
  if (!engines) throw usage(`--engine ${given.engine} is not one of ${Object.keys(ENGINES).join(', ')}.`)
  return {
    scale: parseScale(given.scale),
    engines,
    runs: count('runs', given.runs),
    commitRuns: count('commit-runs', given['commit-runs']),
    coldRuns: given['cold-runs'] === '0' ? 0 : count('cold-runs', given['cold-runs']),
    hasPeers: given.peers,
    isLarge: given.large,
    ...(given.json !== undefined && { jsonPath: given.json }),
    ...(given.write !== undefined && { writePath: given.write }),
  }
}

/** `--scale`. Throws `usage_invalid`. */
export function parseScale(text: string): number {
  const scale = Number(text)
  if (scale >= SMALLEST_SCALE && scale <= 10) return scale
  throw usage(`--scale ${text} is not a number from ${SMALLEST_SCALE} to 10.`)
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: SYNTAX }).values
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause))
  }
}

/** A number of the command line, from 1 to 999. Throws `usage_invalid`. */
export function count(name: string, text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw usage(`--${name} ${text} is not a number from 1 to 999.`)
  return Number(text)
}

/** What is wrong with the command line. */
export function usage(message: string): AppError {
  return new AppError('usage_invalid', message)
}
