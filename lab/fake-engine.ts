import { createServer, type ServerResponse } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freezeCgroup, readCgroupState, thawCgroup } from '#freezer/cgroup.ts'
import type { CountingGroup } from './counting-group.ts'

/** Three calls of an engine over a counting group. As Docker does (seen), it believes its own books, not the cgroup. */
export interface FakeEngine extends AsyncDisposable {
  readonly socketPath: string
  readonly calls: readonly string[]
  paused: boolean
  running: boolean
  pid: number
  /** While true, nothing is answered; what came in meanwhile is carried out afterwards. */
  hangs: boolean
  /** So many pauses fail as runc's do: after the freezer was tried, with the container thawed. */
  failingPauses: number
  /** Called when it has looked at the container, before it says what it saw. */
  onInspect: () => void
  /** Called before a pause is answered. */
  onPause: () => void | Promise<void>
  /** Stop hanging. */
  resume(): void
}

export const FAKE_ID = 'ab'.repeat(32)

/** Start the engine on a unix socket of its own. */
export async function startFakeEngine(group: CountingGroup): Promise<FakeEngine> {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-engine-'))
  const socketPath = join(directory, 'engine.sock')
  const calls: string[] = []
  const held: (() => void)[] = []
  const verbs: Record<string, () => Promise<[number, object?]>> = {
    async pause() {
      if (engine.paused) return [409, { message: 'Container is already paused' }]
      if (!engine.running) return [409, { message: 'Container is not running' }]
      if (engine.failingPauses-- > 0) return [500, { message: 'OCI runtime pause failed: unable to freeze' }]
      await freezeCgroup(group.file)
      engine.paused = true
      await engine.onPause()
      return [204]
    },
    async unpause() {
      if (!engine.paused) return [500, { message: 'Container is not paused' }]
      if (readCgroupState(group.file) === 'thawed')
        return [500, { message: 'OCI runtime resume failed: container not paused' }]
      await thawCgroup(group.file)
      engine.paused = false
      return [204]
    },
    async json() {
      const { running: Running, paused: Paused, pid: Pid } = engine
      engine.onInspect()
      return [200, { State: { Running, Paused, Pid, StartedAt: '2026-01-01T00:00:00Z' } }]
    },
  }
  const server = createServer((request, response) => {
    const [, , id, verb = ''] = request.url!.split('/')
    calls.push(`${request.method} ${verb}`)
    const answer = () => {
      const run =
        id === FAKE_ID ? verbs[verb]! : async () => [404, { message: `No such container: ${id}` }] as [number, object]
      void run().then((result) => send(response, ...result))
    }
    if (engine.hangs) held.push(answer)
    else answer()
  })
  const engine: FakeEngine = {
    socketPath,
    calls,
    paused: false,
    running: true,
    pid: group.init.pid,
    hangs: false,
    failingPauses: 0,
    onInspect: () => {},
    onPause: () => {},
    resume() {
      engine.hangs = false
      for (const answer of held.splice(0)) answer()
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(directory, { recursive: true, force: true })
    },
  }
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return engine
}

function send(response: ServerResponse, status: number, body?: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(body && JSON.stringify(body))
}
