import { parseArgs } from 'node:util'
import { AppError } from '#base/errors.ts'

export interface ApiOptions {
  /** How long each load lasts. */
  readonly seconds: number
  readonly instances: number
  readonly snapshots: number
  readonly jsonPath?: string
  readonly writePath?: string
}

const SYNTAX = {
  seconds: { type: 'string', default: '10' },
  instances: { type: 'string', default: '100000' },
  snapshots: { type: 'string', default: '1000000' },
  json: { type: 'string' },
  write: { type: 'string' },
} as const

/** What to measure, from the command line. Throws `usage_invalid`. */
export function parseApiOptions(args: readonly string[]): ApiOptions {
  const given = parse(args)
  const options = {
    seconds: count('seconds', given.seconds),
    instances: count('instances', given.instances),
    snapshots: count('snapshots', given.snapshots),
    ...(given.json !== undefined && { jsonPath: given.json }),
    ...(given.write !== undefined && { writePath: given.write }),
  }
  if (options.snapshots >= options.instances && options.instances >= LEAST_INSTANCES) return options
  throw usage(`There must be at least ${LEAST_INSTANCES} --instances, and as many --snapshots.`)
}

const LEAST_INSTANCES = 1000 // each user has some then

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: SYNTAX }).values
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause))
  }
}

function count(name: string, text: string): number {
  if (!/^[1-9]\d{0,7}$/.test(text)) throw usage(`--${name} ${text} is not a number from 1 to 99999999.`)
  return Number(text)
}

function usage(message: string): AppError {
  return new AppError('usage_invalid', message)
}
