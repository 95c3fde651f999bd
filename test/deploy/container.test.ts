import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { labEngine } from '#lab/engine.ts'
import type { Engine } from '#lab/engine.ts'
import { debianRoot, debootstrap, makeOnce } from '#lab/debian-root.ts'
import { busyboxImage, hasImage, importTar } from '#lab/images.ts'
import { steadyPort } from '#lab/port.ts'
import { startRegistry } from '#lab/registry.ts'
import type { Registry } from '#lab/registry.ts'
import { LAB_CACHE, mustRun } from '#lab/workspace.ts'

/**
 * The image of deploy/Dockerfile, built without a network, and run as deploy/compose.yaml says: with its capabilities and
 * nothing else of the host than what it mounts.
 */
const BASE = 'tintype-lab/debian:server'
const run = promisify(execFile)
/** On the host and in the container at the same path. */
const root = mkdtempSync('/var/tmp/tintype-deploy-')
const home = join(root, 'home')
let engine: Engine
let registry: Registry
let server: string
let listen: string

interface Service {
  readonly cap_drop: readonly string[]
  readonly cap_add: readonly string[]
  readonly security_opt: readonly string[]
  readonly tmpfs: readonly string[]
}
/** The arguments of `docker run` for the service, with the engine and the directories of this test. */
function serviceArguments(service: Service): readonly string[] {
  const { cap_drop, cap_add, security_opt, tmpfs } = service
  const socket = '/run/docker.sock'
  const volumes = [
    `${engine.socketPath}:${socket}`,
    `${engine.root}:${engine.root}:ro`,
    `${home}:${home}`,
    `${root}/run:/run/tintype`,
    '/sys/fs/cgroup:/sys/fs/cgroup',
  ]
  const environment = [
    `TINTYPE_HOME=${home}`,
    `TINTYPE_LISTEN=${listen}`,
    'TINTYPE_METRICS_LISTEN=127.0.0.1:0',
    `DOCKER_HOST=unix://${socket}`,
  ]
  const each = (option: string, values: readonly string[]) => values.flatMap((value) => [option, value])
  return [
    ...['--network', 'host', '--pid', 'host', '--cgroupns', 'host', '--read-only'],
    ...each('--cap-drop', cap_drop),
    ...each('--cap-add', cap_add),
    ...each('--security-opt', security_opt),
    ...each('--tmpfs', tmpfs),
    ...each('--volume', volumes),
    ...each('--env', environment),
  ]
}

/** deploy/compose.yaml as Docker Compose itself understands it; it fails on what it does not know. */
async function composeService(): Promise<Service> {
  const compose = await debianRoot('forky', ['docker-compose'])
  const config = ['docker-compose', '--file', '-', '--profile', 'postgres', 'config', '--format', 'json']
  const resolved = await mustRun('chroot', [compose, ...config], { input: readFileSync('deploy/compose.yaml', 'utf8') })
  const { services } = JSON.parse(resolved.toString()) as { services: { server: Service; registry: object } }
  assert.deepEqual(Object.keys(services).toSorted(), ['postgres', 'registry', 'server'])
  return services.server
}

async function buildImage(): Promise<void> {
  const context = join(root, 'context')
  await mustRun('mkdir', ['-p', context, home, `${root}/run`])
  await run('npm', ['pack', '--pack-destination', context])
  const [name] = readdirSync(context)
  await run('npm', [
    'install',
    '--prefix',
    context,
    '--no-save',
    '--omit=dev',
    '--no-audit',
    '--no-fund',
    join(context, name!),
  ])
  if (!(await hasImage(engine, BASE))) {
    const tar = await makeOnce(`${LAB_CACHE}/debian-server`, async (temporary) => {
      const unfinished = `${temporary}.unfinished.tar`
      await debootstrap('bookworm', ['libatomic1', 'libisal2', 'mount', 'util-linux', 'ca-certificates'], unfinished)
      await mustRun('mv', [unfinished, temporary])
    })
    await importTar(engine, createReadStream(tar), BASE)
  }
  const build = ['build', '--network', 'none', '--build-arg', `BASE=${BASE}`, '--tag', 'tintype-lab/tintype']
  await engine.docker([...build, '--file', 'deploy/Dockerfile', context], { timeoutMs: 300_000 })
}

before(async () => {
  engine = await labEngine('docker20')
  registry = await startRegistry()
  await buildImage()
  listen = `127.0.0.1:${await steadyPort()}`
  server = await engine.docker(['run', '--detach', ...serviceArguments(await composeService()), 'tintype-lab/tintype'])
})
after(async () => {
  await engine.docker(['rm', '--force', server])
  await registry.stop()
  await engine.stop()
  rmSync(root, { recursive: true })
})

/** A command in the server's own container, where the account's key is. */
const tintype = (line: string) =>
  engine.docker(['exec', server, 'tintype', ...line.split(' '), '--endpoint', `http://${listen}`], {
    timeoutMs: 120_000,
  })

/** Docker's own verdict, by the HEALTHCHECK of the image. */
async function becomesHealthy(): Promise<void> {
  const events = ['events', '--filter', `container=${server}`, '--filter', 'event=health_status', '--since', '0']
  const [program, ...before] = engine.command
  const watching = execFile(program, [...before, ...events], { env: engine.env })
  for await (const line of watching.stdout!.setEncoding('utf8')) if (/health_status: healthy/.test(String(line))) break
  watching.kill()
}

test('the server runs in a container with the capabilities of compose.yaml, and is healthy', async () => {
  await becomesHealthy()
  const { Status } = JSON.parse(await engine.docker(['inspect', '--format', '{{json .State.Health}}', server]))
  assert.equal(Status, 'healthy')
  assert.match(await engine.docker(['logs', server]), /Tintype serves http/)
})

test('an instance is made, and saved: frozen, read in the jail, pushed', async () => {
  const image = await busyboxImage(engine)
  const id = await tintype(`instance create --image-url ${image} --name box --wait`)
  await engine.docker(['exec', `tintype-${id}`, 'sh', '-c', 'echo kept > /note'])
  const target = `${registry.host}/deploy/box:v1`
  const saved = JSON.parse(await tintype(`snapshot create box --name v1 --image-url ${target} --wait --json`))
  assert.equal(saved.Status, 'Saved', JSON.stringify(saved))
  assert.notEqual(saved.Result.FreezeMethod, 'none')
  await engine.docker(['pull', target])
  assert.equal(await engine.docker(['run', '--rm', '--network', 'none', target, 'cat', '/note']), 'kept')
  await tintype('instance delete box')
})

test('doctor finds everything that it needs in the container', async () => {
  const found = JSON.parse(await engine.docker(['exec', server, 'tintype', 'doctor', '--json']))
  assert.deepEqual(
    found.checks.filter(({ ok, needed }: { ok: boolean; needed: boolean }) => needed && !ok),
    [],
  )
})

test('a stop is in order, and leaves no record of a freeze', async () => {
  await engine.docker(['stop', '--time', '40', server], { timeoutMs: 60_000 })
  assert.equal(await engine.docker(['inspect', '--format', '{{.State.ExitCode}}', server]), '0')
  assert.deepEqual(readdirSync(`${root}/run`), [])
})
