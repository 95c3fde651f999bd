import { spawn } from 'node:child_process'
import { AppError } from './errors.ts'

export interface RunOptions {
  readonly signal?: AbortSignal
  readonly input?: string | Uint8Array
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly timeoutMs?: number
}

/** The exit code of a program that a signal has ended. */
export const KILLED = 128

export interface RunResult {
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** Run a program to its end and collect what it prints. Never throws for an exit code; throws `internal` when it cannot be started. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.env && { env: options.env }),
      ...(options.cwd && { cwd: options.cwd }),
      ...(options.signal && { signal: options.signal }),
      ...(options.timeoutMs && { timeout: options.timeoutMs, killSignal: 'SIGKILL' as const }),
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    child.on('error', (cause) => reject(startError(program, cause)))
    // Who was killed may have left a child that holds the pipes open.
    child.on('exit', (_code, signal) => {
      if (signal === null) return
      child.stdout.destroy()
      child.stderr.destroy()
    })
    child.on('close', (code, signal) => {
      const exitCode = code ?? (signal === null ? 1 : KILLED)
      resolve({ exitCode, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() })
    })
    child.stdin.on('error', () => {}) // the program may end without reading its input
    child.stdin.end(options.input)
  })
}

function startError(program: string, cause: Error): AppError {
  if (cause.name === 'AbortError') return new AppError('cancelled', 'Cancelled.', { cause })
  return new AppError('internal', `${program} could not be started: ${cause.message}.`, { cause })
}
