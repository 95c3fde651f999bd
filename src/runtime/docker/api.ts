import { Readable } from 'node:stream'
import Docker from 'dockerode'
import { throwIfAborted } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'

/** The HTTP interface of a Docker-compatible engine. */
export interface EngineApi {
  /**
   * One call: its JSON answer, with `isStream` its body. Statuses outside of 2xx and `accept` become errors: `refuse` is
   * asked first, then `engine_unavailable` and `permission_denied`. Throws `cancelled`.
   */
  call(method: Method, path: string, options?: CallOptions): Promise<unknown>
}

export type Method = 'GET' | 'POST' | 'DELETE' | 'HEAD'

export interface CallOptions {
  readonly query?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: object
  /** What the engine needs to log in to the registry of a pull. */
  readonly login?: { readonly username: string; readonly password: string; readonly registry: string }
  /** Statuses that are as good as 200: their answer is whatever came. */
  readonly accept?: readonly number[]
  /** The error for an answer of this status, with the engine's own words; undefined: the usual one. */
  readonly refuse?: (status: number, words: string) => AppError | undefined
  readonly isStream?: boolean
  /** How long the answer may take. Default 30 s; none for a stream. */
  readonly limitMs?: number
  readonly signal?: AbortSignal | undefined
}

// Also with thousands of containers an inspect takes less than a second.
const LIMIT_MS = 30_000
const GOOD = [200, 201, 204]

/** The engine behind a unix socket; `signal` ends all calls. */
export function openApi(socketPath: string, signal?: AbortSignal): EngineApi {
  const docker = new Docker({ socketPath })
  return {
    // Through dockerode's `dial`: its own inspect and get of an image take no signal.
    async call(method, path, options = {}) {
      const { isStream = false, limitMs = LIMIT_MS, accept = [] } = options
      throwIfAborted(signal)
      throwIfAborted(options.signal)
      const limit = isStream ? undefined : AbortSignal.timeout(limitMs)
      const limits = [signal, options.signal, limit]
      const request = {
        path: options.query ? `${path}?` : path, // how dockerode knows that a query follows
        method,
        statusCodes: Object.fromEntries([...GOOD, ...accept].map((status) => [status, true])),
        abortSignal: AbortSignal.any(limits.filter((each) => each !== undefined)),
        isStream,
        options: { _query: options.query ?? {}, _body: options.body ?? {} },
        ...(options.login && { authconfig: { ...options.login, serveraddress: options.login.registry } }),
      }
      try {
        return await new Promise((resolve, reject) => {
          docker.modem.dial(request, (error: unknown, data: unknown) => (error ? reject(error) : resolve(data)))
        })
      } catch (error) {
        throwIfAborted(signal)
        throwIfAborted(options.signal)
        if (limit?.aborted) throw tooLate(socketPath, `${method} ${path}`, limitMs)
        throw options.refuse?.(statusOf(error), wordsOf(error)) ?? engineError(socketPath, error)
      }
    },
  }
}

/** The body of a call with `isStream`. */
export function streamOf(answer: unknown): Readable {
  if (answer instanceof Readable) return answer
  throw new AppError('engine_unavailable', 'The container engine did not answer with a stream.')
}

function statusOf(error: unknown): number {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 0
}

/** What the engine says itself, without what dockerode puts around it. */
function wordsOf(error: unknown): string {
  const json = error instanceof Error && 'json' in error ? error.json : undefined
  const message = typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined
  if (typeof message === 'string') return message
  return (error instanceof Error ? error.message : String(error)).replace(/^\(HTTP code \d+\) unexpected - /, '').trim()
}

function tooLate(socketPath: string, call: string, limitMs: number): AppError {
  const message = `The container engine at ${socketPath} has not answered ${call} within ${limitMs / 1000} s: the machine is too busy, or the engine is stuck. Try again; if it stays so, see the engine's log.`
  return new AppError('engine_unavailable', message, { details: { socketPath, call, limitMs } })
}

function engineError(socketPath: string, cause: unknown): AppError {
  if (cause instanceof AppError) return cause
  const status = statusOf(cause)
  const code = systemCode(cause)
  if (code === 'EACCES' || code === 'EPERM') {
    const message = `The engine's socket ${socketPath} may not be opened: run as root.`
    return new AppError('permission_denied', message, { cause, details: { socketPath } })
  }
  const words = wordsOf(cause)
  const message =
    status > 0
      ? `The container engine at ${socketPath} answered with an error (${status}): ${words}.`
      : `The container engine at ${socketPath} did not answer (${words}): see whether its daemon runs, and whether DOCKER_HOST names its socket.`
  return new AppError('engine_unavailable', message, { cause, details: { socketPath } })
}
