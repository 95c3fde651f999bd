import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { OPERATIONS, type Action } from '#contract/operations.ts'

export interface Key {
  readonly id: string
  readonly secret: string
  readonly token?: string
}

/** What is asked of an official client, whatever language it is written in. */
export interface Call {
  /** Of the path, by name. */
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: object
  /** Put in the place of what the client would send: every one of them lets its user do so. */
  readonly headers?: Readonly<Record<string, string>>
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- what a server answers, about which tests make claims
export type Body = Readonly<Record<string, any>>

/** What the client raised, as it calls it. */
export interface Failure {
  readonly kind: string
  readonly code: string | null
  readonly status: number | null
  readonly message: string
  readonly denied?: Readonly<Record<string, string>> | null
  /** Milliseconds. */
  readonly retryAfter?: number | null
}

export type Outcome =
  { readonly body: Body; readonly error?: never } | { readonly error: Failure; readonly body?: never }

/** A call as it goes to the program that has the official client in it. */
export type SentCall = ReturnType<typeof describeCall>
export type Send = (call: SentCall) => Promise<Outcome>

export interface ServerAddress {
  /** `127.0.0.1:PORT`. */
  readonly host: string
  readonly rootKey: Key
}

/** One official client, with the account's own key where no other is given. */
export class OfficialClient {
  readonly name: string
  readonly #send: Send
  readonly #server: ServerAddress

  constructor(name: string, server: ServerAddress, send: Send) {
    this.name = name
    this.#server = server
    this.#send = send
  }

  /** The same client with the key of someone else. */
  as(rootKey: Key): OfficialClient {
    return this.at({ ...this.#server, rootKey })
  }

  /** The same client, at another server. */
  at(server: ServerAddress): OfficialClient {
    return new OfficialClient(this.name, server, this.#send)
  }

  async outcome(action: Action, call: Call = {}): Promise<Outcome> {
    return await this.#send(describeCall(this.#server, action, call))
  }

  /** The answer. Throws with what the client raised. */
  async body(action: Action, call: Call = {}): Promise<Body> {
    const { body, error } = await this.outcome(action, call)
    if (error) throw new Error(`${this.name}: ${action} raised ${error.kind} ${error.code}: ${error.message}`)
    return body
  }

  /** What the client raised. Throws when it raised nothing. */
  async failure(action: Action, call: Call = {}): Promise<Failure> {
    const { body, error } = await this.outcome(action, call)
    if (!error) throw new Error(`${this.name}: ${action} succeeded: ${JSON.stringify(body)}`)
    return error
  }
}

function describeCall(server: ServerAddress, action: Action, call: Call) {
  const { params = {}, query = {}, body, headers = {} } = call
  const { product, version, style, method, path } = OPERATIONS[action]
  const pathname = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
  const operation = { product, action, version, style, method, pathname, params: Object.values(params) }
  return { ...operation, query, body, headers, host: server.host, key: server.rootKey }
}

/** Query values as the cores want them: their callers, the product SDKs, turn them into text. */
export function queryTexts(query: Readonly<Record<string, unknown>>): Record<string, string> {
  const textOf = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value))
  return Object.fromEntries(Object.entries(query).map(([name, value]) => [name, textOf(value)]))
}

export interface ClientProgram extends AsyncDisposable {
  readonly send: Send
}

/** A program that reads calls from its standard input, a line each, and prints their outcomes. */
export function startClientProgram(program: string, args: readonly string[], env: NodeJS.ProcessEnv): ClientProgram {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const said = text(child.stderr)
  const ended = once(child, 'close')
  const waiting: PromiseWithResolvers<Outcome>[] = []
  createInterface(child.stdout).on('line', (line) => waiting.shift()?.resolve(JSON.parse(line) as Outcome))
  child.once('close', () =>
    said.then((words) => waiting.forEach(({ reject }) => reject(new Error(`${program} ended: ${words}`)))),
  )
  return {
    send(call) {
      const one = Promise.withResolvers<Outcome>()
      waiting.push(one)
      child.stdin.write(`${JSON.stringify(call)}\n`)
      return one.promise
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await ended
    },
  }
}
