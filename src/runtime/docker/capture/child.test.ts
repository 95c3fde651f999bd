/** The child's side without an engine: what it does when there is nothing to capture, or nobody to capture for. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { digestOf } from '#oci/digest.ts'
import type { RegistryAccess } from '#runtime/runtime.ts'
import { runCaptureChild, ServerLink } from './child.ts'
import { encodeLine, type ChildRequest } from './protocol.ts'
import { childEnvironment } from './run.ts'

const request = (socketPath: string, target: RegistryAccess = { host: 'localhost:1' }): ChildRequest => ({
  socketPath,
  home: '/nowhere',
  zstdEverywhere: false,
  containerId: 'c1',
  capture: {
    captureId: 'x',
    reference: 'localhost:1/saved/box:1',
    labels: {},
    exclusions: [],
    overwrite: true,
    compression: 'auto',
    full: false,
    registries: { target, others: [] },
  },
})

/** The child as its server sees it. */
function startChild(signal = new AbortController().signal) {
  const input = new PassThrough()
  const output = new PassThrough()
  const saved = runCaptureChild({ input, output, signal })
  const last = async () => {
    assert.equal(await saved, false)
    const lines = String(output.read()).trimEnd().split('\n')
    return JSON.parse(lines.at(-1)!) as { readonly type: string; readonly code: string; readonly message: string }
  }
  return { input, output, last }
}

/** An engine that is asked and never answers. */
async function silentEngine() {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-child-'))
  const socketPath = join(directory, 'engine.sock')
  const asked = Promise.withResolvers<void>()
  const server = createServer(() => asked.resolve())
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    socketPath,
    asked: asked.promise,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(directory, { recursive: true })
    },
  }
}

test('a server that goes before it has asked for anything', async () => {
  const child = startChild()
  child.input.end()
  assert.equal((await child.last()).code, 'cancelled')
})

test('a person who calls the command gets a sentence', async () => {
  const child = startChild()
  child.input.write('hello\n')
  const { type, code, message } = await child.last()
  assert.deepEqual([type, code], ['failed', 'usage_invalid'])
  assert.match(message, /started by the server/)
})

test('an engine that is not there', async () => {
  const child = startChild()
  child.input.write(encodeLine(request('/nowhere/engine.sock')))
  assert.equal((await child.last()).code, 'engine_unavailable')
})

test('a reference in another registry than the one that is allowed', async () => {
  const child = startChild()
  child.input.write(encodeLine(request('/nowhere/engine.sock', { host: 'localhost:2' })))
  assert.equal((await child.last()).code, 'reference_invalid')
})

const ENDS: readonly (readonly [string, (child: ReturnType<typeof startChild>, stop: AbortController) => void])[] = [
  ['cancel', ({ input }) => input.write(encodeLine({ type: 'cancel' }))],
  ['the end of its input', ({ input }) => input.end()],
  ['an input that breaks off', ({ input }) => input.destroy()],
  ['an output that nobody reads any more', ({ output }) => output.emit('error', new Error('EPIPE'))],
  ['a signal', (_, stop) => stop.abort(new AppError('cancelled', 'Cancelled by SIGTERM.'))],
]
for (const [why, end] of ENDS)
  test(`ended while it works: ${why}`, async () => {
    await using engine = await silentEngine()
    const stop = new AbortController()
    const child = startChild(stop.signal)
    child.input.write(encodeLine(request(engine.socketPath)))
    await engine.asked
    end(child, stop)
    assert.equal((await child.last()).code, 'cancelled')
  })

test('each manifest waits for the server to have kept it, also the second after a lost layer', async () => {
  const [input, output] = [new PassThrough(), new PassThrough()]
  const link = new ServerLink(input, output)
  const { signal } = new AbortController()
  const manifest = { digest: digestOf('a manifest'), mediaType: 'm', bytes: Buffer.from('{}') }
  input.write(encodeLine(request('/nowhere/engine.sock')))
  const confirm = () => input.write(encodeLine({ type: 'confirm' }))
  for (let round = 1; round <= 2; round++) {
    let isDone = false
    const waiting = link.confirm(manifest, signal).then(() => (isDone = true))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isDone, false, `manifest ${round}`)
    confirm()
    await waiting
  }
})

test('a capture gets nothing of the server but what every program needs', () => {
  const kept = { PATH: '/bin', HOME: '/root', HTTPS_PROXY: 'http://proxy', NODE_EXTRA_CA_CERTS: '/ca.pem' }
  const left = { TINTYPE_ROOT_ACCESS_KEY_SECRET: 's', TINTYPE_DATABASE: 'd', DOCKER_CONFIG: 'c', NODE_OPTIONS: '-r x' }
  assert.deepEqual(childEnvironment({ ...kept, ...left }), kept)
})
