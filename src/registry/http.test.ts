import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { startFakeRegistry } from '#lab/fake-registry.ts'
import { makeCertificate } from '#lab/registry.ts'
import { openTransport } from './http.ts'
import type { TransportOptions } from './http.ts'
import { addressGuard } from './trust.ts'
import type { Lookup } from './ways.ts'

const keepAll = (_host: string, addresses: readonly string[]) => [...addresses]
const open = (options: Partial<TransportOptions> = {}) =>
  openTransport({ guard: keepAll, userAgent: 'test/1', ...options })
const portOf = (host: string) => host.split(':')[1]
const onLoopback: Lookup = async () => [{ address: '127.0.0.1', family: 4 }]

test('a body goes out and comes back; connections are kept and used again', async () => {
  const sockets = new Set<unknown>()
  await using fake = await startFakeRegistry({
    before: () => undefined,
    after: (seen) => ({ status: 200, body: String(seen.bytes) }),
  })
  const transport = open()
  for (const body of [
    undefined,
    Buffer.from('12345'),
    (async function* () {
      yield Buffer.from('123')
      yield Buffer.from('4')
    })(),
  ]) {
    const response = await transport.send({ method: 'POST', url: new URL(fake.url), body })
    sockets.add(response.headers['connection'])
    const { bytes, isComplete } = await response.read(100)
    assert.equal(isComplete, true)
    assert.equal(bytes.toString(), String(fake.seen.at(-1)?.bytes))
  }
  assert.deepEqual(
    fake.seen.map(({ bytes }) => bytes),
    [0, 5, 4],
  )
  assert.equal(fake.seen[0]?.headers['user-agent'], 'test/1')
  assert.deepEqual([...sockets], ['keep-alive'])
})

test('what is read of a body is bounded', async () => {
  await using fake = await startFakeRegistry({ before: () => ({ status: 200, body: Buffer.alloc(1_000_000) }) })
  const transport = open()
  const long = await (await transport.send({ method: 'GET', url: new URL(fake.url) })).read(1000)
  assert.deepEqual([long.bytes.length, long.isComplete], [1000, false])
  await (await transport.send({ method: 'GET', url: new URL(fake.url) })).discard()
})

test('the addresses that a name has are checked, each of them, at each connection', async () => {
  await using fake = await startFakeRegistry()
  const asked: (readonly string[])[] = []
  const guard = (_: string, addresses: readonly string[]) => {
    asked.push(addresses)
    return addresses.filter((address) => address !== '127.0.0.9')
  }
  const lookup: Lookup = async () => [
    { address: '127.0.0.9', family: 4 },
    { address: '127.0.0.1', family: 4 },
  ]
  const response = await open({ guard, lookup }).send({
    method: 'GET',
    url: new URL(`http://name.example:${portOf(fake.host)}/v2/`),
  })
  assert.equal(response.status, 200)
  await response.discard()
  assert.deepEqual(asked, [['127.0.0.9', '127.0.0.1']])
})

test('a name at a metadata address is not connected to', async () => {
  const guard = addressGuard({ registryHost: 'name.example', trustedHosts: [] })
  const lookup: Lookup = async () => [{ address: '169.254.169.254', family: 4 }]
  const sent = open({ guard, lookup }).send({ method: 'GET', url: new URL('http://name.example/') })
  await assert.rejects(sent, { code: 'registry_untrusted', message: /169\.254\.169\.254.*never/ })
})

for (const [host, why] of [
  ['169.254.169.254', 'as it is'],
  ['2852039166', 'as one number'],
  ['0xa9.0xfe.0xa9.0xfe', 'in hex'],
  ['[::ffff:169.254.169.254]', 'mapped into IPv6'],
] as const)
  test(`a metadata address in the URL itself is refused: ${why}`, async () => {
    const guard = addressGuard({ registryHost: 'name.example', trustedHosts: [] })
    const sent = open({ guard }).send({ method: 'GET', url: new URL(`http://${host}/`) })
    await assert.rejects(sent, { code: 'registry_untrusted' })
  })

test('a public registry sends us to a private host: refused before a byte is sent', async () => {
  await using inside = await startFakeRegistry()
  const guard = addressGuard({ registryHost: 'registry.example', trustedHosts: [] })
  guard('registry.example', ['8.8.8.8'])
  const transport = open({ guard, lookup: onLoopback })
  for (const host of [`inside.example:${portOf(inside.host)}`, inside.host, `registry.example:${portOf(inside.host)}`])
    await assert.rejects(transport.send({ method: 'GET', url: new URL(`http://${host}/`) }), {
      code: 'registry_untrusted',
    })
  assert.equal(inside.seen.length, 0)
})

test('nothing listens: unavailable, with the host and what to do', async () => {
  const sent = open().send({ method: 'GET', url: new URL('http://127.0.0.1:1/') })
  await assert.rejects(sent, {
    code: 'registry_unavailable',
    message: /nothing listens there/,
    details: { registry: '127.0.0.1:1', code: 'ECONNREFUSED' },
  })
})

test('a name that does not exist: unavailable, and which name', async () => {
  const lookup: Lookup = async () => {
    throw Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' })
  }
  const sent = open({ lookup }).send({ method: 'GET', url: new URL('http://no.example/') })
  await assert.rejects(sent, {
    code: 'registry_unavailable',
    message: /^no\.example cannot be reached: the name has no address/,
  })
})

test('silence ends: a server that says nothing is left after the idle time', async () => {
  await using server = await startSilent()
  const sent = open().send({ method: 'GET', url: new URL(`http://${server.host}/`), idleMs: 50 })
  await assert.rejects(sent, { code: 'registry_unavailable', message: /silent for 0\.05 s/ })
})

/** Longer than a busy machine keeps the answers of this process waiting; what is our own wait is longer still. */
const [IDLE_MS, OURS_MS] = [2000, 2500]

test('waiting for our own body is not silence', async () => {
  await using fake = await startFakeRegistry({ after: (seen) => ({ status: 200, body: String(seen.bytes) }) })
  async function* slow() {
    yield Buffer.from('a')
    await new Promise((resolve) => setTimeout(resolve, OURS_MS))
    yield Buffer.from('b')
  }
  const response = await open().send({ method: 'POST', url: new URL(fake.url), body: slow(), idleMs: IDLE_MS })
  assert.equal((await response.read(10)).bytes.toString(), '2')
})

test('nor is a reader that takes its time', async () => {
  await using fake = await startFakeRegistry({ before: () => ({ status: 200, body: Buffer.alloc(3_000_000) }) })
  const response = await open().send({ method: 'GET', url: new URL(fake.url), idleMs: IDLE_MS })
  let bytes = 0
  for await (const chunk of response.body) {
    if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, OURS_MS))
    bytes += chunk.length
  }
  assert.equal(bytes, 3_000_000)
})

test('a cancel ends the wait for an answer, and the reading of a body', async () => {
  await using server = await startSilent()
  const cancel = new AbortController()
  const sent = open().send({ method: 'GET', url: new URL(`http://${server.host}/`), signal: cancel.signal })
  cancel.abort()
  await assert.rejects(sent, { code: 'cancelled' })
  await assert.rejects(open().send({ method: 'GET', url: new URL('http://127.0.0.1:1/'), signal: cancel.signal }), {
    code: 'cancelled',
  })

  await using fake = await startFakeRegistry({ before: () => ({ status: 200, body: Buffer.alloc(30_000_000) }) })
  const reading = new AbortController()
  const response = await open().send({ method: 'GET', url: new URL(fake.url), signal: reading.signal })
  const read = async () => {
    for await (const _ of response.body) reading.abort()
  }
  await assert.rejects(read(), { code: 'cancelled' })
})

test('a body that is cut is an error, never a short body', async () => {
  await using fake = await startFakeRegistry({
    before: () => ({ status: 200, headers: { 'content-length': '10' }, body: 'short' }),
  })
  const response = await open().send({ method: 'GET', url: new URL(fake.url), idleMs: 100 })
  await assert.rejects(response.read(100), { code: 'registry_unavailable' })
})

test('an answer before the end of the body stops the sending, and closes the source', async () => {
  await using fake = await startFakeRegistry({ before: () => ({ status: 413, body: 'too much' }) })
  let [made, isClosed] = [0, false]
  async function* endless() {
    try {
      for (;;) {
        made += 100_000
        yield Buffer.alloc(100_000)
      }
    } finally {
      isClosed = true
    }
  }
  const response = await open().send({ method: 'POST', url: new URL(fake.url), body: endless() })
  assert.deepEqual([response.status, response.isEarly], [413, true])
  assert.equal((await response.read(100)).bytes.toString(), 'too much')
  assert.ok(made < 50_000_000)
  while (!isClosed) await new Promise(setImmediate)
})

test('the error of the source comes out as it is', async () => {
  await using fake = await startFakeRegistry()
  const failure = new Error('the disk is gone')
  async function* failing() {
    yield Buffer.alloc(10)
    throw failure
  }
  await assert.rejects(open().send({ method: 'POST', url: new URL(fake.url), body: failing() }), failure)
})

test('TLS: a certificate is checked, an own CA is taken, and only who asks for it gets no check', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-tls-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const { certificate, keyPath } = await makeCertificate(directory)
  await using fake = await startFakeRegistry({ tls: { cert: certificate, key: readFileSync(keyPath, 'utf8') } })
  const url = new URL(`${fake.url}/v2/`)
  await assert.rejects(open().send({ method: 'GET', url }), {
    code: 'registry_unavailable',
    message: /certificate is not trusted/,
  })
  for (const options of [{ ca: certificate }, { insecureTls: true }]) {
    const response = await open(options).send({ method: 'GET', url })
    assert.equal(response.status, 200)
    await response.discard()
  }
  const other = new URL(`https://name.example:${portOf(fake.host)}/v2/`)
  const sent = open({ ca: certificate, lookup: onLoopback }).send({ method: 'GET', url: other })
  await assert.rejects(sent, { code: 'registry_unavailable', message: /ERR_TLS_CERT_ALTNAME_INVALID/ })
})

/** A server that takes connections and never says a word. */
async function startSilent() {
  const sockets: Socket[] = []
  const server = createServer((socket) => void sockets.push(socket.on('error', () => {}).resume()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
