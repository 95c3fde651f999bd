import { spawn } from 'node:child_process'
import { AppError } from './errors.ts'

/** What a program has printed is read long before. */
const GRACE_MS = 1_000

export interface RunOptions {
  readonly signal?: AbortSignal
  readonly input?: string | Uint8Array
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly timeoutMs?: number
}

export interface RunResult {
  readonly exitCode: number
  readonly stdout: Buffer
  readonly stderr: string
  /** It had not ended after `timeoutMs`, and was killed. */
  readonly isTimedOut: boolean
}

/** Run a program to its end and collect what it prints. Never throws for an exit code; throws `internal` when it cannot be started. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.env && { env: options.env }),
      ...(options.cwd && { cwd: options.cwd }),
      ...(options.signal && { signal: options.signal }),
    })
    let isTimedOut = false
    const kill = () => {
      isTimedOut = true
      child.kill('SIGKILL')
    }
    const limit = options.timeoutMs === undefined ? undefined : setTimeout(kill, options.timeoutMs)
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    child.on('error', (cause) => {
      clearTimeout(limit)
      reject(startError(program, cause))
    })
    // A program that has ended may have left a child that holds the pipes open: an agent, or what hung.
    let grace: NodeJS.Timeout | undefined
    child.on('exit', () => {
      clearTimeout(limit)
      grace = setTimeout(() => {
        child.stdout.destroy()
        child.stderr.destroy()
      }, GRACE_MS)
    })
    child.on('close', (code, signal) => {
      const exitCode = code ?? (signal === null ? 1 : 128)
      clearTimeout(grace)
      resolve({ exitCode, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString(), isTimedOut })
    })
    child.stdin.on('error', () => {}) // the program may end without reading its input
    child.stdin.end(options.input)
  })
}

function startError(program: string, cause: Error): AppError {
  if (cause.name === 'AbortError') return new AppError('cancelled', 'Cancelled.', { cause })
  return new AppError('internal', `${program} could not be started: ${cause.message}.`, { cause })
}
