import { toAppError } from '#base/errors.ts'
import type { AppError, ErrorCode } from '#base/errors.ts'

/** Why a snapshot failed, as the API shows it: a short code in CamelCase and a sentence (dsw-api §9 row 16). */
export interface Reason {
  readonly reasonCode: string
  readonly reasonMessage: string
}

/** Where the name of the error is not what a user of the API would call it. */
const NAMES: Partial<Record<ErrorCode, string>> = {
  internal: 'InternalError',
  reader_failed: 'InternalError',
  layer_invalid: 'InternalError',
  container_not_found: 'ContainerGone',
  container_not_running: 'ContainerGone',
  instance_not_found: 'ContainerGone',
}

/** The reason for what was thrown. What was not foreseen is not shown: it may name files of the host. */
export function reasonOf(error: unknown, reference: string): Reason {
  const known = toAppError(error)
  return { reasonCode: NAMES[known.code] ?? camelCase(known.code), reasonMessage: sentenceFor(known, reference) }
}

function sentenceFor(error: AppError, reference: string): string {
  if (error.code === 'tag_exists' && error.details['isImmutable'] !== true)
    return `${reference} exists already: choose another tag, or set Overwrite to true to replace it.`
  if (error.code === 'freeze_budget_exceeded')
    return 'The instance changes so much that it would be frozen for too long: try again when it is quieter, or exclude the busy directory with ExcludePaths.'
  if (error.code === 'internal')
    return "Something went wrong that was not foreseen: the server's log has it under the id of this snapshot."
  return error.message
}

const camelCase = (code: string) => code.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
