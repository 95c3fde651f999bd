/** What a server and the process that captures for it say to each other: one JSON object a line. */
import { AppError, ERRORS, type Details, type ErrorCode } from '#base/errors.ts'
import type { CaptureEvent, CaptureRequest } from '#runtime/runtime.ts'
import type { Captured } from '#snapshot/result.ts'

/** The first line on the child's standard input. It holds credentials: never in arguments, never in the environment. */
export interface ChildRequest {
  readonly socketPath: string
  readonly home: string
  readonly zstdEverywhere: boolean
  readonly usesTracepoints?: boolean
  readonly workers?: number
  readonly spoolBytes?: number
  readonly maxLayerBytes?: number
  readonly containerId: string
  readonly capture: CaptureRequest
}

/** Every other line there. The end of the input means `cancel`. */
export type ChildCommand = { readonly type: 'confirm' } | { readonly type: 'cancel' }

/** Lines on the child's standard output; `result` or `failed` is the last. */
export type ChildMessage =
  | CaptureEvent
  | { readonly type: 'result'; readonly captured: Captured }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string; readonly details: Details }

/** A manifest may have 4 MiB, and each of its characters may take two in JSON. */
export const MOST_LINE_BYTES = 9 << 20

export const encodeLine = (message: ChildRequest | ChildCommand | ChildMessage) => `${JSON.stringify(message)}\n`

/** The request of our own server. Throws `usage_invalid` for a line that is none. */
export function parseRequest(line: string): ChildRequest {
  const value = parseLine(line)
  if (value && typeof value.containerId === 'string' && typeof value.capture === 'object')
    return value as unknown as ChildRequest
  throw new AppError('usage_invalid', 'This command is started by the server: its input is no request.')
}

/** Undefined for what is no command. */
export function parseCommand(line: string): ChildCommand | undefined {
  const type = parseLine(line)?.type
  return type === 'confirm' || type === 'cancel' ? { type } : undefined
}

const MESSAGES: readonly unknown[] = ['progress', 'thawed', 'manifest', 'result', 'failed']

/** A message of our own child; undefined for anything else. */
export function parseMessage(line: string): ChildMessage | undefined {
  const value = parseLine(line)
  return value && MESSAGES.includes(value.type) ? (value as unknown as ChildMessage) : undefined
}

/** The error that a child has failed with, as if it had been thrown here. */
export function errorOf({ code, message, details }: Extract<ChildMessage, { type: 'failed' }>): AppError {
  return new AppError(Object.hasOwn(ERRORS, code) ? code : 'internal', message, { details })
}

function parseLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
