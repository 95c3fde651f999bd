import assert from 'node:assert/strict'
import { once } from 'node:events'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readConfig } from '#config/config.ts'
import { startFakeRegistry, type Seen } from '#lab/fake-registry.ts'
import { parseDestination } from './destination.ts'
import { readEngineFacts } from './engine-facts.ts'
import { isAmong, openRegistries } from './registries.ts'

const root = mkdtempSync(join(tmpdir(), 'tintype-registries-'))
after(() => rmSync(root, { recursive: true }))
const signal = new AbortController().signal

async function listen(
  listener: Parameters<typeof createServer>[1],
  ...where: readonly [string] | readonly [number, string]
) {
  const server = createServer(listener)
  if (typeof where[0] === 'string') server.listen(where[0])
  else server.listen(where[0], where[1])
  await once(server, 'listening')
  const address = server.address() as AddressInfo
  return { port: address.port, [Symbol.asyncDispose]: async () => void server.close().closeAllConnections() }
}
const open = async (env: Readonly<Record<string, string>>) =>
  openRegistries({
    config: await readConfig({ DOCKER_HOST: `unix://${root}/none`, ...env }),
    env: { HOME: root, ...env },
    signal,
  })

test('a layout is described without being made', async () => {
  const directory = join(root, 'images')
  const { openTarget, describe } = await open({})
  assert.equal((await openTarget(parseDestination(`oci:${directory}:v1`))).name, directory)
  assert.equal(await describe(`oci:${directory}:v1`), `${directory} answers; v1 is not there yet`)
  assert.equal(existsSync(directory), false)
})

test('the base image may be in another repository than the target', async () => {
  const { repositoryOf } = await open({})
  assert.equal((await repositoryOf('docker.io/library/python')).name, 'docker.io/library/python')
})

test('a registry on loopback is asked in plain HTTP, with the login of the Docker configuration', async () => {
  const asked: (string | undefined)[] = []
  await using registry = await listen(
    (request, response) => {
      asked.push(request.headers.authorization)
      if (request.headers.authorization === undefined)
        response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      else response.writeHead(404).end()
    },
    0,
    '127.0.0.1',
  )
  const host = `127.0.0.1:${registry.port}`
  const directory = mkdtempSync(join(root, 'docker-'))
  const { storeCredentials } = await import('#registry/credentials.ts')
  await storeCredentials(host, { kind: 'basic', username: 'ann', password: 's' }, { DOCKER_CONFIG: directory })
  const { describe } = await open({ DOCKER_CONFIG: directory })
  assert.equal(await describe(`${host}/team/a:v1`), `${host}/team/a answers; v1 is not there yet`)
  assert.equal(asked.at(-1), `Basic ${Buffer.from('ann:s').toString('base64')}`)
})

test("a host that the engine's administrator calls insecure is asked in plain HTTP when it speaks no TLS", async () => {
  await using registry = await listen((_, response) => response.writeHead(404).end(), 0, '127.0.0.1')
  const host = `127.0.0.1:${registry.port}`
  const facts = {
    ServerVersion: '1',
    Driver: 'overlay2',
    RegistryConfig: { IndexConfigs: { [host]: { Secure: false } } },
  }
  const socket = join(root, 'engine.sock')
  await using _engine = await listen((_, response) => response.end(JSON.stringify(facts)), socket)
  const { describe } = await open({ DOCKER_HOST: `unix://${socket}` })
  assert.match(await describe(`${host}/a:v1`), /v1 is not there yet/)
})

test("a registry in a network that the engine's administrator calls insecure, too", async () => {
  const facts = {
    ServerVersion: '1',
    Driver: 'd',
    RegistryConfig: { InsecureRegistryCIDRs: ['127.0.0.0/8', '10.0.0.0/8', 'fd00::/8'] },
  }
  const socket = join(root, 'networks.sock')
  await using _engine = await listen((_, response) => response.end(JSON.stringify(facts)), socket)
  const { insecureRegistries } = await readEngineFacts(socket, signal)
  assert.deepEqual(insecureRegistries, ['10.0.0.0/8', 'fd00::/8'])
  for (const [host, expected] of [
    ['10.1.2.3:5000', true],
    ['[fd00::1]:5000', true],
    ['11.0.0.1', false],
    ['localhost:5000', false],
    ['reg.example', false],
  ] as const)
    assert.equal(await isAmong(host, insecureRegistries), expected, host)
})

test('a login is checked in the same way as images are sent', async () => {
  const [keyPath, certificatePath] = ['key.pem', 'cert.pem'].map((name) => join(root, name)) as [string, string]
  const name = ['-subj', '/CN=nobody', '-keyout', keyPath, '-out', certificatePath]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...name], { stdio: 'ignore' })
  const tls = { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certificatePath, 'utf8') }
  const right = `Basic ${Buffer.from('ann:right').toString('base64')}`
  const challenge = ({ headers }: Seen) => (headers.authorization === right ? undefined : 'Basic realm="r"')
  await using registry = await startFakeRegistry({ tls, challenge })
  const facts = {
    ServerVersion: '1',
    Driver: 'd',
    RegistryConfig: { IndexConfigs: { [registry.host]: { Secure: false } } },
  }
  const socket = join(root, 'login.sock')
  await using _engine = await listen((_, response) => response.end(JSON.stringify(facts)), socket)
  const { checkLogin } = await open({ DOCKER_HOST: `unix://${socket}` })
  await checkLogin(registry.host, { kind: 'basic', username: 'ann', password: 'right' })
  await assert.rejects(checkLogin(registry.host, { kind: 'basic', username: 'ann', password: 'wrong' }), {
    code: 'registry_denied',
  })
  const { checkLogin: strict } = await open({})
  await assert.rejects(strict(registry.host, { kind: 'basic', username: 'ann', password: 'right' }))
})
