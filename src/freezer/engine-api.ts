import { request, type IncomingMessage } from 'node:http'
import { AppError } from '#base/errors.ts'

/** What an engine says of a container. */
export interface EngineState {
  readonly running: boolean
  readonly paused: boolean
  /** 0 when it does not run. */
  readonly pid: number
  readonly startedAt: string
}

export interface EngineCallOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal
}

/** The three calls of the Docker Engine API (v1.24 and later; Podman has them too) that a freeze needs. */
export interface EngineApi {
  /** Throws `container_paused`, `container_not_running`, `container_gone`, `freeze_failed`, `engine_unavailable`. */
  pause(containerId: string, options: EngineCallOptions): Promise<void>
  /** Throws `container_gone`, `freeze_failed` when the engine refuses, `engine_unavailable` when it does not answer. */
  unpause(containerId: string, options: EngineCallOptions): Promise<void>
  /** Throws `container_gone`, `engine_unavailable`. */
  inspect(containerId: string, options: EngineCallOptions): Promise<EngineState>
}

interface Answer {
  readonly status: number
  readonly body: string
}

// An inspect of a container with many mounts is some tens of KiB.
const MAX_BODY_BYTES = 8 << 20

/** The engine behind a unix socket. Each call opens a connection of its own, so that none depends on an earlier one. */
export function engineApi(socketPath: string): EngineApi {
  const inspect = async (id: string, options: EngineCallOptions): Promise<EngineState> => {
    const answer = await call(socketPath, 'GET', `/containers/${id}/json`, options)
    if (answer.status !== 200) throw refusal('inspect', answer)
    return parseState(answer.body)
  }
  return {
    inspect,
    async pause(id, options) {
      const answer = await call(socketPath, 'POST', `/containers/${id}/pause`, options)
      if (answer.status === 204) return
      if (answer.status === 409) await explainConflict(await inspect(id, options), answer)
      throw refusal('pause', answer)
    },
    async unpause(id, options) {
      const answer = await call(socketPath, 'POST', `/containers/${id}/unpause`, options)
      if (answer.status !== 204) throw refusal('unpause', answer)
    },
  }
}

/** 409: the engine's own idea of the container does not allow a pause, so nothing was frozen. */
function explainConflict(state: EngineState, answer: Answer): void {
  if (state.paused)
    throw new AppError('container_paused', 'Someone else has paused the container: unpause it, then try again.')
  if (!state.running)
    throw new AppError('container_not_running', 'The container does not run: start it, then try again.')
  throw refusal('pause', answer)
}

function refusal(verb: string, answer: Answer): AppError {
  const details = { verb, status: answer.status, answer: parseMessage(answer.body) }
  if (answer.status === 404)
    return new AppError('container_gone', 'The container is gone: the engine no longer has it.', { details })
  return new AppError('freeze_failed', `The engine refused to ${verb} the container: ${details.answer}`, { details })
}

function call(socketPath: string, method: string, path: string, options: EngineCallOptions): Promise<Answer> {
  const timeout = AbortSignal.timeout(options.timeoutMs)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  return new Promise((resolve, reject) => {
    const fail = (cause: Error) => {
      if (options.signal?.aborted) return reject(new AppError('cancelled', 'Cancelled.', { cause }))
      const why = timeout.aborted ? `no answer within ${options.timeoutMs} ms` : cause.message
      const message = `The container engine at ${socketPath} did not answer (${why}): see whether its daemon runs.`
      reject(new AppError('engine_unavailable', message, { cause, details: { socketPath, timedOut: timeout.aborted } }))
    }
    const sent = request(
      { socketPath, method, path, signal, agent: false, headers: { host: 'engine' } },
      (response) => {
        readBody(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), fail)
      },
    )
    sent.on('error', fail)
    sent.end()
  })
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    sizeBytes += chunk.length
    if (sizeBytes > MAX_BODY_BYTES) throw new Error('the answer is too large')
  }
  return Buffer.concat(chunks).toString()
}

function parseMessage(body: string): string {
  const value = parseObject(body)
  return typeof value.message === 'string' ? value.message : body.slice(0, 500).trim()
}

function parseState(body: string): EngineState {
  const state = parseObject(body).State
  const { Running, Paused, Pid, StartedAt } = (typeof state === 'object' && state !== null ? state : {}) as Record<
    string,
    unknown
  >
  if (typeof Running !== 'boolean' || typeof Paused !== 'boolean' || typeof Pid !== 'number')
    throw new AppError(
      'engine_unavailable',
      'The container engine answered an inspect without a State: it is no Docker-compatible engine.',
    )
  return { running: Running, paused: Paused, pid: Pid, startedAt: String(StartedAt ?? '') }
}

function parseObject(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
