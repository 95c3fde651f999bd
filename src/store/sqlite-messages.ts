/** What the server's thread and the one that writes to SQLite say to each other: one answer for each request, in order. */
import type { SQLInputValue } from 'node:sqlite'
import type { SqliteResult } from './sqlite-handle.ts'

export type WriterRequest =
  | { readonly do: 'open'; readonly path: string }
  | { readonly do: 'run'; readonly sql: string; readonly parameters: readonly SQLInputValue[] }
  | { readonly do: 'exec'; readonly text: string }
  | { readonly do: 'close' }

export interface WriterAnswer {
  /** Of `run`. */
  readonly result?: SqliteResult
  readonly error?: WriterError
  readonly isInTransaction: boolean
}

/** An error of node:sqlite; only its message would come through by itself. */
export interface WriterError {
  readonly message: string
  readonly code: string | undefined
  readonly errcode: number | undefined
}

export function encodeError(error: unknown): WriterError {
  const { message, code, errcode } = error instanceof Error ? parseError(error) : parseError(new Error(String(error)))
  return { message, code, errcode }
}

export function decodeError({ message, code, errcode }: WriterError): Error {
  return Object.assign(new Error(message), {
    ...(code !== undefined && { code }),
    ...(errcode !== undefined && { errcode }),
  })
}

const parseError = (error: Error) => error as Error & Partial<Pick<WriterError, 'code' | 'errcode'>>
