/** `npm run demo`: a running container is saved, lost, and comes back. `npm run demo -- --down` tidies up. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import { runProgram } from '#base/process.ts'
import { startContainer, type Container } from '#lab/container.ts'
import { engineAt, ping, removeContainers, requireOverlay, startEngine, type Engine } from '#lab/engine.ts'
import { DEBIAN_IMAGE, debianImage, debianTarPath, hasImage } from '#lab/images.ts'
import { withLock } from '#lab/lock.ts'
import { ensurePackages } from '#lab/packages.ts'
import { startRegistry } from '#lab/registry.ts'
import { clearWorkspace, LAB_LOCKS, openLastingWorkspace } from '#lab/workspace.ts'
import type { Captured } from '#snapshot/result.ts'
import { factsOf, logOf, startWriter, workIn } from './demo-container.ts'

const HOME = '/var/lib/tintype-demo'
const OWN_ENGINE = `${HOME}/engine`
const REGISTRY = `${HOME}/registry`
const HOST_SOCKET = '/var/run/docker.sock'
const PYTHON = 'python:3.12-slim'
const CONTAINER = 'tintype-demo'
/** Marks what the demo made, so that it removes nothing else. */
const LABEL = 'io.tintype.demo'
const HUB_ANSWERS_MS = 3_000
const PULL_MS = 90_000

const started = performance.now()
if (process.getuid?.() !== 0) {
  console.error('The demo installs packages, starts an engine and reads what containers changed: run it as root.')
  process.exit(2)
}
process.exitCode = await withLock(`${LAB_LOCKS}/demo`, async () => {
  try {
    if (process.argv.includes('--down')) return await down()
    return await demo()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    console.error(`\nThe demo stopped: ${error.message}`)
    return 1
  }
})

async function demo(): Promise<number> {
  console.log('Tintype: save a running container as an image, lose the container, get it back.\n')
  await ensurePackages(['docker.io', 'docker-registry'].slice((await ping(HOST_SOCKET)) ? 1 : 0))
  mkdirSync(HOME, { recursive: true, mode: 0o700 })
  const engine = await step('An engine', openEngine)
  await removeLeftovers(engine)
  const host = await step('A registry', openRegistry)
  const reference = `${host}/demo/my-work:monday`
  const base = await step('A base image', () => openBase(engine))
  const container = await step('A container from it', () => openContainer(engine, base))
  await step('A week of work in it', async () => {
    await workIn(container)
    await startWriter(container)
    return ['packages installed, files edited, deleted and linked; a process keeps writing', undefined]
  })
  const facts = await factsOf(container)

  console.log(`\n$ tintype snapshot ${CONTAINER} ${reference}`)
  const saved = await snapshot(engine, reference)
  const seen = await logOf(container)
  console.log(`  digest   ${saved.digest}`)
  console.log(`  frozen   ${saved.frozenMs.toFixed(0)} ms (the process inside saw ${seen.longestSilenceMs} ms at most)`)
  console.log(`  sizes    ${mb(saved.rawBytes)} in ${saved.files} files → ${mb(saved.compressedBytes)} in the registry`)
  console.log(`  took     ${(saved.totalMs / 1000).toFixed(1)} s\n`)

  await step('Every local copy removed', () => removeCopies(engine, [reference, base]))
  await step('Pulled back from the registry', () => pull(engine, reference, saved.digest))
  const restored = await step('Run again', () => openContainer(engine, reference))
  const isSame = await compare(restored, facts)
  console.log(`\n${isSame ? 'All of it is there.' : 'Something is missing.'} ${seconds(started)} in all.`)
  const [program, ...before] = engine.command
  console.log(`Look around:  ${program} ${before.join(' ')} exec -it ${CONTAINER} sh`)
  console.log('Tidy up:      npm run demo -- --down')
  return isSame ? 0 : 1
}

type Shown<T> = readonly [text: string, value: T]

/** Say what happens, do it, say how it went and how long it took. */
async function step<T>(name: string, work: () => Promise<Shown<T>>): Promise<T> {
  const from = performance.now()
  const [text, value] = await work()
  console.log(`${name.padEnd(30)} ${text} (${seconds(from)})`)
  return value
}

function seconds(from: number): string {
  return `${((performance.now() - from) / 1000).toFixed(1)} s`
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** The machine's Docker if it runs and can be used, else one of the demo's own, which stays until `--down`. */
async function openEngine(): Promise<Shown<Engine>> {
  const theirs = await hostEngine()
  const engine = theirs ?? (await ownEngine()) ?? (await startOwnEngine())
  const version = await engine.docker(['version', '--format', '{{.Server.Version}}'])
  return [`Docker ${version}, ${theirs ? 'which runs on this machine' : 'started for the demo'}`, engine]
}

async function hostEngine(): Promise<Engine | undefined> {
  if (!(await ping(HOST_SOCKET))) return undefined
  const address = { name: 'host' as const, socketPath: HOST_SOCKET, root: '', directory: HOME }
  const engine = engineAt(address, async () => {})
  try {
    await requireOverlay(engine)
    return engine
  } catch (error) {
    console.log(`${error instanceof AppError ? error.message : String(error)} It is left alone.`)
    return undefined
  }
}

async function ownEngine(): Promise<Engine | undefined> {
  const socketPath = `${OWN_ENGINE}/state/docker.sock`
  if (!existsSync(socketPath) || !(await ping(socketPath))) return undefined
  const address = { name: 'docker20' as const, socketPath, root: `${OWN_ENGINE}/state/data`, directory: OWN_ENGINE }
  return engineAt(address, async () => {})
}

async function startOwnEngine(): Promise<Engine> {
  await clearWorkspace({ directory: OWN_ENGINE }) // what a crash or a reboot has left
  return await startEngine('docker20', await openLastingWorkspace(OWN_ENGINE))
}

async function openRegistry(): Promise<Shown<string>> {
  const file = `${REGISTRY}/host`
  const known = existsSync(file) ? readFileSync(file, 'utf8') : undefined
  if (known !== undefined && (await answersWithin(`http://${known}/v2/`, 1_000)))
    return [`${known}, still there`, known]
  await clearWorkspace({ directory: REGISTRY })
  const { host } = await startRegistry({ workspace: await openLastingWorkspace(REGISTRY) })
  writeFileSync(file, host)
  return [host, host]
}

async function answersWithin(url: string, ms: number): Promise<boolean> {
  try {
    await (await fetch(url, { signal: AbortSignal.timeout(ms) })).body?.cancel()
    return true
  } catch {
    return false
  }
}

/** A Python image: from Docker Hub where that is in reach, else a Debian made here. */
async function openBase(engine: Engine): Promise<Shown<string>> {
  if (await hasImage(engine, PYTHON)) return [`${PYTHON}, which is on this machine`, PYTHON]
  if (await answersWithin('https://registry-1.docker.io/v2/', HUB_ANSWERS_MS)) {
    const [program, ...before] = engine.command
    const pulled = await runProgram(program, [...before, 'pull', PYTHON], { env: engine.env, timeoutMs: PULL_MS })
    if (pulled.exitCode === 0) {
      writeFileSync(`${HOME}/pulled`, PYTHON)
      return [`${PYTHON} from Docker Hub`, PYTHON]
    }
  }
  return ['a Debian with Python made here: Docker Hub is out of reach', await debianImage(engine)]
}

async function openContainer(engine: Engine, image: string): Promise<Shown<Container>> {
  const args = ['--name', CONTAINER, '--label', LABEL]
  const container = await startContainer(engine, image, { args })
  return [`${CONTAINER} (${container.id.slice(0, 12)})`, container]
}

async function snapshot(engine: Engine, reference: string): Promise<Captured> {
  const env = { ...process.env, DOCKER_HOST: `unix://${engine.socketPath}`, TINTYPE_HOME: `${HOME}/home` }
  const child = spawn('bin/tintype', ['snapshot', CONTAINER, reference, '--overwrite', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
  })
  const printed: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => printed.push(chunk))
  const [exitCode] = (await once(child, 'close')) as [number | null]
  const text = Buffer.concat(printed).toString()
  if (exitCode !== 0) throw new AppError('internal', `tintype snapshot ended with ${exitCode}: ${reasonIn(text)}`)
  return JSON.parse(text) as Captured
}

/** The sentence in what `--json` prints for a failure. */
function reasonIn(printed: string): string {
  return /"message":("(?:[^"\\]|\\.)*")/.exec(printed)?.[1] ?? printed
}

/** The container and the images go. A base image that the machine had before the demo stays. */
async function removeCopies(engine: Engine, images: readonly string[]): Promise<Shown<undefined>> {
  await removeContainers(engine, LABEL)
  const gone: string[] = []
  for (const image of images)
    if (isOurs(image) && (await hasImage(engine, image))) {
      await engine.docker(['rmi', '--force', image])
      gone.push(image)
    }
  return [['the container', ...gone].join(', '), undefined]
}

function isOurs(image: string): boolean {
  return image !== PYTHON || existsSync(`${HOME}/pulled`)
}

async function pull(engine: Engine, reference: string, digest: string): Promise<Shown<undefined>> {
  await engine.docker(['pull', '--quiet', reference])
  const digests = await engine.docker(['image', 'inspect', '--format', '{{.RepoDigests}}', reference])
  if (!digests.includes(digest)) throw new AppError('internal', `The registry gave ${digests}, not ${digest}.`)
  return [`${digest.slice(0, 19)}…, by Docker`, undefined]
}

/** Show each change that must have come back; whether all of them have. */
async function compare(restored: Container, facts: Readonly<Record<string, string>>): Promise<boolean> {
  const now = await factsOf(restored)
  const log = await logOf(restored)
  const rows = Object.entries(facts).map(([name, before]) => [name, now[name] === before, now[name]] as const)
  const logRow = ['the log of the running process', log.whole && log.lines > 0, `${log.lines} lines, no gap`] as const
  for (const [name, isRight, text] of [...rows, logRow]) console.log(`  ${isRight ? '✔' : '✖ not'} ${name}: ${text}`)
  return logRow[1] && rows.every(([, isRight]) => isRight)
}

/** What an earlier run has left in an engine. */
async function removeLeftovers(engine: Engine): Promise<void> {
  await removeContainers(engine, LABEL)
  const host = existsSync(`${REGISTRY}/host`) ? readFileSync(`${REGISTRY}/host`, 'utf8') : undefined
  const reference = host && `${host}/demo/my-work:monday`
  if (reference && (await hasImage(engine, reference))) await engine.docker(['rmi', '--force', reference])
}

async function down(): Promise<number> {
  const theirs = existsSync(HOME) ? await hostEngine() : undefined
  if (theirs) {
    await removeLeftovers(theirs)
    const base = existsSync(`${HOME}/pulled`) ? PYTHON : DEBIAN_IMAGE
    if (await hasImage(theirs, base)) await theirs.docker(['rmi', base])
    console.log(`Removed from ${HOST_SOCKET}: the demo's containers and images.`)
  }
  for (const [what, directory] of [
    ['the Docker engine that the demo started', OWN_ENGINE],
    ['its registry', REGISTRY],
  ] as const)
    if (existsSync(directory)) {
      await clearWorkspace({ directory })
      console.log(`Stopped and removed: ${what} (${directory}).`)
    }
  for (const path of [HOME, debianTarPath()])
    if (existsSync(path)) {
      rmSync(path, { recursive: true })
      console.log(`Removed: ${path}.`)
    }
  console.log('Nothing of the demo is left but the packages that it installed.')
  return 0
}
