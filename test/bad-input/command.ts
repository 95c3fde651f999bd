import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findFreezerCgroup, readCgroupState } from '#freezer/cgroup.ts'
import { listRecords, readRecord, RECORD_HOME } from '#freezer/record.ts'
import { startContainer, type Container } from '#lab/container.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'

export interface RunOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  /** What is put before `bin/tintype`: another user, another mount namespace. */
  readonly prefix?: readonly string[]
  /** Where `bin/tintype` lies; by default the working directory. */
  readonly checkout?: string
}

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface Refusal {
  readonly exitCode: number
  readonly code: string
  /** What the sentence has to say: the thing, and the remedy. */
  readonly says: RegExp
}

/** A container that works, and the command as a user has it, in a home of its own. */
export interface Bench extends AsyncDisposable {
  readonly engine: Engine
  readonly box: Container
  readonly boxName: string
  /** A directory of the test's own; TINTYPE_HOME is `home` in it. */
  readonly root: string
  /** An `oci:` reference where nothing is yet. */
  freshTarget(): string
  run(args: readonly string[], options?: RunOptions): Promise<Ran>
  /** The command refuses with this sentence, and at the same time as JSON, and nothing is changed. */
  refuses(args: readonly string[], refusal: Refusal, options?: RunOptions): Promise<void>
  /** As JSON alone: for what goes as far as to take the container for itself. */
  refusesAlone(args: readonly string[], refusal: Refusal, options?: RunOptions): Promise<void>
  /** The test has changed the container by itself: from now on this is how it has to stay. */
  settle(): Promise<void>
}

/** A hang is a failure, and not the end of the test run. */
const LIMIT_MS = 240_000
const CONTENT = 'mkdir -p /work/cache; echo hello > /work/note; head -c 12000000 /dev/urandom > /work/cache/random'
let benches = 0

export async function openBench(engine: Engine): Promise<Bench> {
  const root = mkdtempSync(join(tmpdir(), 'tintype-bad-input-'))
  const boxName = `bad-input-${process.pid}-${++benches}`
  const box = await startContainer(engine, await busyboxImage(engine), { args: ['--name', boxName] })
  await box.exec(['sh', '-c', CONTENT])
  let targets = 0
  const run: Bench['run'] = (args, options = {}) =>
    runCommand(args, { root, socketPath: engine.socketPath, ...options })
  const state = () => stateOf(engine, box, join(root, 'home'))
  let settled = await state()
  return {
    engine,
    box,
    boxName,
    root,
    freshTarget: () => `oci:${root}/target-${++targets}:v1`,
    run,
    settle: async () => void (settled = await state()),
    async refuses(args, refusal, options = {}) {
      const [plain, json] = await Promise.all([run(args, options), run([...args, '--json'], options)])
      checkSentence(plain, refusal)
      checkJson(json, refusal)
      assert.deepEqual(await state(), settled)
    },
    async refusesAlone(args, refusal, options = {}) {
      checkJson(await run([...args, '--json', '--quiet'], options), refusal)
      assert.deepEqual(await state(), settled)
    },
    async [Symbol.asyncDispose]() {
      await box.remove()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

async function runCommand(
  args: readonly string[],
  {
    root,
    socketPath,
    input = '',
    env = {},
    prefix = [],
    checkout = process.cwd(),
  }: RunOptions & { root: string; socketPath: string },
): Promise<Ran> {
  const base = {
    PATH: process.env['PATH'],
    HOME: root,
    TINTYPE_HOME: join(root, 'home'),
    DOCKER_HOST: `unix://${socketPath}`,
  }
  const [program = '', ...rest] = [...prefix, join(checkout, 'bin/tintype'), ...args]
  const child = spawn(program, rest, { env: { ...base, ...env }, timeout: LIMIT_MS, killSignal: 'SIGKILL' })
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdin.end(input)
  const seen = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (seen.out += chunk))
  child.stderr.on('data', (chunk) => (seen.err += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { ...seen, code }
}

/** One sentence on stderr, nothing on stdout. */
function checkSentence({ code, out, err }: Ran, { exitCode, says }: Refusal): void {
  assert.match(err, /^tintype: [^\n]{10,600}\n$/)
  assert.match(err, says)
  assert.match(err, /[.?]\n$/, 'a sentence has an end')
  assert.deepEqual([code, out], [exitCode, ''])
}

/** One object on stdout, nothing on stderr. */
function checkJson({ code, out, err }: Ran, { exitCode, code: errorCode, says }: Refusal): void {
  assert.match(out, /^[^\n]+\n$/, `exit code ${code}, said ${JSON.stringify(out)} and ${JSON.stringify(err)}`)
  const { error, ...rest } = JSON.parse(out)
  assert.deepEqual([Object.keys(error), rest], [['code', 'message', 'details'], {}])
  assert.match(`tintype: ${error.message}\n`, says)
  assert.deepEqual([error.code, code, err], [errorCode, exitCode, ''])
}

/** Whether a freeze, a record, a spool or a mount is left, and what the engine says of the container. */
async function stateOf(engine: Engine, box: Container, home: string): Promise<object> {
  const [status, pid] = (
    await engine.docker(['inspect', '--format', '{{.State.Status}} {{.State.Pid}}', box.id])
  ).split(' ')
  const cgroup = pid === '0' ? undefined : findFreezerCgroup(Number(pid), box.id)
  const records = listRecords(RECORD_HOME).map(readRecord)
  return {
    status,
    cgroup: cgroup === undefined ? 'none' : readCgroupState(cgroup),
    records: records.filter((each) => each?.freezer.kind === 'engine' && each.freezer.containerId === box.id),
    spools: existsSync(`${home}/spool`) ? readdirSync(`${home}/spool`) : [],
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${home}/spool`)),
  }
}
