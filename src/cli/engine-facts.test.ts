import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { readEngineFacts } from './engine-facts.ts'

const root = mkdtempSync(join(tmpdir(), 'tintype-engine-'))
after(() => rmSync(root, { recursive: true }))
let count = 0
const never = new AbortController().signal

async function openEngine(body: string | undefined) {
  const path = join(root, `${count++}.sock`)
  const server = createServer((_, response) => {
    if (body !== undefined) response.end(body)
  })
  server.listen(path)
  await once(server, 'listening')
  return { path, server, [Symbol.asyncDispose]: async () => void server.close().closeAllConnections() }
}
const failsWith = (code: string, pattern: RegExp) => (error: unknown) =>
  error instanceof AppError && error.code === code && pattern.test(error.message)

const DOCKER = {
  ServerVersion: '28.5.2',
  Driver: 'overlayfs',
  DriverStatus: [['driver-type', 'io.containerd.snapshotter.v1']],
  DockerRootDir: '/var/lib/docker',
  RegistryConfig: { IndexConfigs: { 'docker.io': { Secure: true }, 'lab:5000': { Secure: false } } },
}

test("Docker's words, and the registries that it lets be insecure", async () => {
  await using engine = await openEngine(JSON.stringify(DOCKER))
  assert.deepEqual(await readEngineFacts(engine.path, never), {
    name: 'Docker',
    version: '28.5.2',
    storageDriver: 'overlayfs',
    store: 'containerd image store',
    rootDirectory: '/var/lib/docker',
    isRootless: false,
    insecureRegistries: ['lab:5000'],
  })
})

test('an engine of an ordinary user is told', async () => {
  const info = { ...DOCKER, SecurityOptions: ['name=seccomp,profile=builtin', 'name=rootless', 'name=cgroupns'] }
  await using engine = await openEngine(JSON.stringify(info))
  assert.equal((await readEngineFacts(engine.path, never)).isRootless, true)
})

test("Podman's words, without a registry configuration", async () => {
  const info = {
    ServerVersion: '4.3.1',
    Driver: 'overlay',
    DockerRootDir: '/var/lib/containers/storage',
    RegistryConfig: null,
  }
  await using engine = await openEngine(JSON.stringify(info))
  const { name, store, insecureRegistries } = await readEngineFacts(engine.path, never)
  assert.deepEqual([name, store, insecureRegistries], ['Podman', "the engine's own store", []])
})

for (const [reason, body] of [
  ['no JSON', '<html>'],
  ['null', 'null'],
  ['another object', '{"message":"page not found"}'],
] as const) {
  test(`${reason} is no engine's answer`, async () => {
    await using engine = await openEngine(body)
    await assert.rejects(
      readEngineFacts(engine.path, never),
      failsWith('engine_unavailable', /no Docker engine: check DOCKER_HOST/),
    )
  })
}

test('no socket, and a file that is no socket, are no engine', async () => {
  const file = join(root, 'file')
  writeFileSync(file, '')
  await assert.rejects(
    readEngineFacts(join(root, 'none'), never),
    failsWith('engine_unavailable', /No engine answers at .*\(ENOENT\): start it/),
  )
  await assert.rejects(readEngineFacts(file, never), failsWith('engine_unavailable', /\(ECONNREFUSED\)/))
})

test('an engine that never answers can be left', async () => {
  await using engine = await openEngine(undefined)
  const controller = new AbortController()
  const facts = readEngineFacts(engine.path, controller.signal)
  await once(engine.server, 'request')
  controller.abort()
  await assert.rejects(facts, failsWith('cancelled', /Cancelled/))
})
