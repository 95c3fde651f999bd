import type { SQLInputValue } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { AppError } from '#base/errors.ts'
import type { SqliteResult } from './sqlite-handle.ts'
import { decodeError, type WriterAnswer, type WriterRequest } from './sqlite-messages.ts'

// In a checkout the source itself, in what is shipped the bundle beside ours.
const PROGRAM = new URL(import.meta.url.endsWith('.ts') ? 'sqlite-thread.ts' : 'sqlite-thread.mjs', import.meta.url)

type Waiting = PromiseWithResolvers<WriterAnswer>

/**
 * The connection that writes, in a thread of its own: a commit is on the disk when it resolves, and on a disk that others
 * write to, that takes a second at times. Requests are carried out in the order of the calls.
 */
export class SqliteWriter {
  readonly #worker: Worker
  readonly #waiting: Waiting[] = []
  #isInTransaction = false
  #lost: AppError | undefined

  private constructor() {
    this.#worker = new Worker(PROGRAM)
    this.#worker.unref() // it keeps the process alive while there is something to wait for, and not else
    this.#worker.on('message', (answer: WriterAnswer) => this.#settle(answer))
    this.#worker.on('error', (cause) => this.#lose(cause))
    this.#worker.on('exit', () => this.#lose())
  }

  /** Throws what SQLite throws for a file that cannot be opened. */
  static async open(path: string): Promise<SqliteWriter> {
    const writer = new SqliteWriter()
    try {
      await writer.#ask({ do: 'open', path })
      return writer
    } catch (error) {
      await writer.#worker.terminate()
      throw error
    }
  }

  async run(sql: string, parameters: readonly SQLInputValue[]): Promise<SqliteResult> {
    const { result } = await this.#ask({ do: 'run', sql, parameters })
    if (result === undefined) throw new AppError('internal', 'The SQLite database is not open.')
    return result
  }

  async exec(text: string): Promise<void> {
    await this.#ask({ do: 'exec', text })
  }

  /** After the last request that was answered. */
  isInTransaction(): boolean {
    return this.#isInTransaction
  }

  async close(): Promise<void> {
    await this.#ask({ do: 'close' })
    await this.#worker.terminate()
  }

  async #ask(request: WriterRequest): Promise<WriterAnswer> {
    if (this.#lost) throw this.#lost
    const waiting: Waiting = Promise.withResolvers()
    this.#waiting.push(waiting)
    this.#worker.ref()
    this.#worker.postMessage(request)
    const answer = await waiting.promise
    if (answer.error) throw decodeError(answer.error)
    return answer
  }

  #settle(answer: WriterAnswer): void {
    this.#isInTransaction = answer.isInTransaction
    this.#waiting.shift()?.resolve(answer)
    if (this.#waiting.length === 0) this.#worker.unref()
  }

  /** What was not committed is undone by the next one who opens the file. */
  #lose(cause?: unknown): void {
    const message = 'The thread that writes to the database has ended: start the server again.'
    this.#lost ??= new AppError('store_unavailable', message, { cause })
    this.#isInTransaction = false
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#lost)
  }
}
