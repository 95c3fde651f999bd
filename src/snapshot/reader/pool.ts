import { Worker } from 'node:worker_threads'
import { AppError } from '#base/errors.ts'
import type { WorkerInit, WorkerReply, WorkerRequest } from './messages.ts'

interface Waiting {
  readonly resolve: (reply: WorkerReply) => void
  readonly reject: (error: unknown) => void
}

/** One worker thread: requests are answered in their order. A thread that dies ends the reader: none is ever started again (A4). */
export class WorkerThread {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []

  constructor(module: URL, init: WorkerInit) {
    this.#worker = new Worker(module, { workerData: init, env: {}, stdin: false })
    this.#worker.on('message', (reply: WorkerReply) => {
      const waiting = this.#waiting.shift()
      if (reply.type === 'failed') waiting?.reject(new AppError(reply.code, reply.message, { details: reply.details }))
      else waiting?.resolve(reply)
    })
    this.#worker.on('error', (cause) => this.#fail(cause))
    this.#worker.on('exit', () => this.#fail(new Error('it ended')))
  }

  /** The next reply without asking for one: `ready`, at the start. */
  next(): Promise<WorkerReply> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** Ask, and wait for the answer of that type. Throws what the worker threw. */
  async ask<T extends WorkerReply['type']>(
    request: WorkerRequest,
    type: T,
  ): Promise<Extract<WorkerReply, { type: T }>> {
    const reply = this.next()
    this.#worker.postMessage(request)
    const answer = await reply
    if (!isOfType(answer, type))
      throw new AppError('reader_failed', `A worker answered ${answer.type} where ${type} was due.`)
    return answer
  }

  #fail(cause: unknown): void {
    const error = new AppError(
      'reader_failed',
      `A worker thread of the reader failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
  }
}

function isOfType<T extends WorkerReply['type']>(
  reply: WorkerReply,
  type: T,
): reply is Extract<WorkerReply, { type: T }> {
  return reply.type === type
}

/** All, or the first failure, but not before every worker has stopped. */
export async function allSettled<T>(promises: readonly Promise<T>[]): Promise<readonly T[]> {
  const results = await Promise.allSettled(promises)
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}
