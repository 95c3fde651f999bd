import { invalid } from './invalid.ts'
import type { Viewer } from './parts.ts'

const NAME = /^[A-Za-z0-9_]{1,27}$/ // CreateInstance, InstanceName: letters, digits, underscores; at most 27
const LABELS = 50
const LABEL_LENGTH = 256
const VARIABLES = 500
const VARIABLE_NAME = /^[^\s=\0]{1,256}$/
const TEXT_LIMIT = 64 * 1024 // Linux: a single argument or variable has at most 128 KiB; the script is a file

export function checkName(name: string): void {
  if (!NAME.test(name)) throw invalid('InstanceName', 'must be 1 to 27 letters, digits and underscores')
}

/** 1 is the lowest, 9 the highest. */
export function checkPriority(priority: number | undefined): void {
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 1 && priority <= 9))
    throw invalid('Priority', 'must be a whole number from 1 to 9')
}

/** Only those who see all instances may make one for somebody else, or give one away. `expected.userId`: whose it is without. */
export function checkOwner(userId: string | undefined, expected: Viewer): void {
  if (userId === undefined || userId === expected.userId || (expected.seesAll && /^\d{1,32}$/.test(userId))) return
  throw invalid('UserId', 'can be another id only from who may list all instances: leave it out')
}

/** The values are in no message: they may be secrets. */
export function checkEnvironment(environment: Readonly<Record<string, string>>): void {
  const entries = Object.entries(environment)
  if (entries.length > VARIABLES) throw invalid('EnvironmentVariables', `must be at most ${VARIABLES}`)
  for (const [name, value] of entries) {
    if (!VARIABLE_NAME.test(name))
      throw invalid(
        'EnvironmentVariables',
        `has the name ${JSON.stringify(name.slice(0, 80))}: a name has no "=" and no white space`,
      )
    if (value.includes('\0') || Buffer.byteLength(value) > TEXT_LIMIT)
      throw invalid(`EnvironmentVariables.${name}`, 'must have at most 64 KiB, and no NUL')
  }
}

export function checkOnStart(script: string | undefined): void {
  if (script !== undefined && (script.includes('\0') || Buffer.byteLength(script) > TEXT_LIMIT))
    throw invalid('UserCommand.OnStart.Content', 'must have at most 64 KiB, and no NUL')
}

export function checkLabels(field: string, labels: ReadonlyMap<string, string>): void {
  if (labels.size > LABELS) throw invalid(field, `must be at most ${LABELS}`)
  for (const [key, value] of labels) {
    if (key === '' || key.length > LABEL_LENGTH)
      throw invalid(field, `must each have a Key of 1 to ${LABEL_LENGTH} characters`)
    if (value.length > LABEL_LENGTH)
      throw invalid(field, `must each have a Value of at most ${LABEL_LENGTH} characters`)
  }
}
