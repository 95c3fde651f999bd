import { parseArgs } from 'node:util'
import type { EngineName } from '#lab/engine.ts'
import { count, parseScale, usage } from './options.ts'

/** What the measurements of growth are run with. */
export interface SeriesOptions {
  /** Of all sizes: 1 is what docs/design.md §9 promises for. */
  readonly scale: number
  readonly engine: EngineName
  readonly runs: number
  readonly jsonPath?: string
  readonly writePath?: string
}

const ENGINES: readonly EngineName[] = ['docker20', 'docker28']

/** What to measure, from the command line. Throws `usage_invalid`. */
export function parseSeriesOptions(args: readonly string[], defaultRuns: number): SeriesOptions {
  const given = parse(args, defaultRuns)
  const engine = ENGINES.find((name) => name === given.engine)
  if (!engine) throw usage(`--engine ${given.engine} is not one of ${ENGINES.join(', ')}.`)
  return {
    scale: parseScale(given.scale),
    engine,
    runs: count('runs', given.runs),
    ...(given.json !== undefined && { jsonPath: given.json }),
    ...(given.write !== undefined && { writePath: given.write }),
  }
}

function parse(args: readonly string[], defaultRuns: number) {
  const options = {
    scale: { type: 'string', default: '1' },
    engine: { type: 'string', default: 'docker20' },
    runs: { type: 'string', default: String(defaultRuns) },
    json: { type: 'string' },
    write: { type: 'string' },
  } as const
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause))
  }
}
