import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { engineInsecureRegistries } from './engine.ts'
import { locateDockerContainer } from './locate.ts'

const DIGEST = `sha256:${'c'.repeat(64)}`
const LAYER = `sha256:${'1'.repeat(64)}`

interface Answers {
  readonly inspect?: object
  readonly image?: object
  readonly info?: object
}

/** An engine that gives these answers, and the root of an overlay2 store with one stopped container in it. */
async function scripted(answers: (root: string) => Answers) {
  const root = mkdtempSync(join(tmpdir(), 'tintype-locate-'))
  const overlay2 = join(root, 'overlay2')
  for (const name of ['c', 'c-init', 'bottom', 'other']) mkdirSync(join(overlay2, name, 'diff'), { recursive: true })
  const diff = (name: string) => join(overlay2, name, 'diff')
  const given = answers(root)
  const bodies: Record<string, object | undefined> = {
    '/containers/c1/json': {
      Id: 'c1',
      Name: '/thing',
      Image: DIGEST,
      Config: { Image: 'python:3.12' },
      State: { Status: 'exited', Running: false, Pid: 0 },
      HostConfig: { Runtime: 'runc', Tmpfs: { '/scratch': '' } },
      GraphDriver: { Name: 'overlay2', Data: { UpperDir: diff('c'), LowerDir: `${diff('c-init')}:${diff('bottom')}` } },
      Mounts: [{ Destination: '/data' }],
      ...given.inspect,
    },
    [`/images/${DIGEST}/json`]: given.image ?? {
      Os: 'linux',
      Architecture: 'amd64',
      RepoDigests: [`python@${DIGEST}`],
      RootFS: { Layers: [LAYER] },
      GraphDriver: { Name: 'overlay2', Data: { UpperDir: diff('bottom') } },
    },
    '/info': { DockerRootDir: root, Driver: 'overlay2', ...given.info },
  }
  const server = createServer((request, response) => {
    const body = bodies[request.url!]
    response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body ?? { message: 'no such thing' }))
  })
  const socketPath = join(root, 'engine.sock')
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    socketPath,
    upperdir: diff('c'),
    locate: () => locateDockerContainer({ socketPath, container: 'c1' }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      rmSync(root, { recursive: true })
    },
  }
}

test('a stopped container of overlay2 is where the engine says', async () => {
  await using engine = await scripted(() => ({}))
  const source = await engine.locate()
  assert.equal(source.upperdir, engine.upperdir)
  assert.equal(source.containerName, 'thing')
  assert.deepEqual(source.base.repoDigests, [{ repository: 'docker.io/library/python', digest: DIGEST }])
  assert.deepEqual(source.base.diffIDs, [LAYER])
  const volumes = source.mountPoints.filter(({ isVolume }) => isVolume).map(({ path }) => path.toString())
  assert.deepEqual(volumes, ['/data', '/scratch'])
})

const state = (State: object) => ({ inspect: { State } })
const running = { Status: 'running', Running: true, Pid: process.pid }
const REFUSED: readonly (readonly [string, (root: string) => Answers, string, RegExp])[] = [
  ['paused by someone else', () => state({ ...running, Paused: true }), 'container_paused', /unpause it/],
  [
    'restarting',
    () => state({ Status: 'restarting', Restarting: true, Running: true }),
    'container_not_running',
    /restarting/,
  ],
  ['dead', () => state({ Status: 'dead', Dead: true }), 'container_not_running', /dead/],
  ['being removed', () => state({ Status: 'removing' }), 'container_not_running', /removing/],
  ['a pid that is no container', () => state(running), 'overlay_unsupported', /The container has/],
  ['a pid that is gone', () => state({ ...running, Pid: 2 ** 22 + 1 }), 'container_gone', /try again/],
  [
    'gVisor, by the name',
    () => ({ inspect: { HostConfig: { Runtime: 'runsc' } } }),
    'overlay_unsupported',
    /sandbox \(runsc\)/,
  ],
  [
    'gVisor under another name',
    () => ({ inspect: { HostConfig: { Runtime: 'safe' } }, info: { Runtimes: { safe: { path: '/usr/bin/runsc' } } } }),
    'overlay_unsupported',
    /sandbox \(safe\)/,
  ],
  ['Kata', () => ({ inspect: { HostConfig: { Runtime: 'io.containerd.kata.v2' } } }), 'overlay_unsupported', /sandbox/],
  ['a rootless engine', () => ({ info: { SecurityOptions: ['name=rootless'] } }), 'overlay_unsupported', /rootless/],
  ['btrfs', () => ({ inspect: { GraphDriver: { Name: 'btrfs', Data: null } } }), 'overlay_unsupported', /btrfs/],
  ['zfs', () => ({ inspect: { GraphDriver: { Name: 'zfs', Data: {} } } }), 'overlay_unsupported', /zfs/],
  [
    'devicemapper',
    () => ({ inspect: { GraphDriver: { Name: 'devicemapper' } } }),
    'overlay_unsupported',
    /devicemapper/,
  ],
  [
    'stopped, with the containerd store',
    () => ({ inspect: { GraphDriver: { Name: 'overlayfs', Data: null } } }),
    'container_not_running',
    /start it/,
  ],
  [
    'stopped, with userns-remap',
    () => ({ info: { SecurityOptions: ['name=userns'] } }),
    'container_not_running',
    /user namespace/,
  ],
  [
    "an upperdir outside of the engine's root",
    () => ({ info: { DockerRootDir: '/usr' } }),
    'overlay_unsupported',
    /does not lie under the engine's root/,
  ],
  [
    'an upperdir that is not on this host',
    () => ({
      inspect: { GraphDriver: { Name: 'overlay2', Data: { UpperDir: '/nowhere/c/diff', LowerDir: '/nowhere/l' } } },
    }),
    'overlay_unsupported',
    /not on this host/,
  ],
  [
    'an image of other layers',
    (root) => ({
      image: {
        Os: 'linux',
        Architecture: 'amd64',
        RootFS: { Layers: [LAYER] },
        GraphDriver: { Name: 'overlay2', Data: { UpperDir: `${root}/overlay2/other/diff` } },
      },
    }),
    'overlay_unsupported',
    /lower layers/,
  ],
  [
    'an image that was removed',
    () => ({ inspect: { Image: `sha256:${'d'.repeat(64)}` } }),
    'base_not_found',
    /image python:3.12 \(sha256:d+\) .* with "docker pull" or "docker load"/,
  ],
]
for (const [reason, answers, code, message] of REFUSED)
  test(`refused: ${reason}`, async () => {
    await using engine = await scripted(answers)
    await assert.rejects(engine.locate(), { code, message })
  })

test('with userns-remap, a stopped container that shares the namespace of the host is found', async () => {
  const inspect = { HostConfig: { Runtime: 'runc', UsernsMode: 'host' } }
  await using engine = await scripted(() => ({ inspect, info: { SecurityOptions: ['name=userns'] } }))
  assert.equal((await engine.locate()).upperdir, engine.upperdir)
})

test('registries without TLS: what the engine lists, and loopback, each once', async () => {
  const RegistryConfig = {
    InsecureRegistryCIDRs: ['127.0.0.0/8', '10.0.0.0/8'],
    IndexConfigs: { 'r:5000': { Secure: false } },
  }
  await using engine = await scripted(() => ({ info: { RegistryConfig } }))
  const found = await engineInsecureRegistries(engine.socketPath)
  assert.deepEqual(found, ['r:5000', '127.0.0.0/8', '10.0.0.0/8', 'localhost', '::1/128'])
})
