import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { AppError } from '#base/errors.ts'
import { runProgram, type RunOptions } from '#base/process.ts'
import { debianRoot } from '#lab/debian-root.ts'
import { ensurePackages } from '#lab/packages.ts'
import { startPodman } from '#lab/podman.ts'
import { clearWorkspace, mustRun, openWorkspace, startDaemon, type Workspace } from '#lab/workspace.ts'

/** Docker 20.10 with overlay2; Docker 28 with the containerd image store; Docker 28 with overlay2; Podman. */
export const ENGINES = ['docker20', 'docker28', 'docker28-overlay2', 'podman'] as const
export type EngineName = (typeof ENGINES)[number]

/** What another process needs to use an engine. */
export interface EngineAddress {
  /** `host`: one that the machine's owner runs. */
  readonly name: EngineName | 'host'
  readonly socketPath: string
  /** Where it keeps images and containers, valid on this machine. */
  readonly root: string
  /** Its logs, and the configuration of the command line that speaks to it. */
  readonly directory: string
}

export interface Engine extends EngineAddress, AsyncDisposable {
  /** `docker ARGS` against this engine: what it prints, trimmed. Throws `internal` with its words when it fails. */
  docker(args: readonly string[], options?: RunOptions): Promise<string>
  /** The program and first arguments of `docker`, for who wants its exit code or streams; run it with `env`. */
  readonly command: readonly [string, ...string[]]
  readonly env: NodeJS.ProcessEnv
  stop(): Promise<void>
}

/** What the test run has started for all of its files: `TINTYPE_LAB` names a file with it. */
export interface SharedEngines {
  readonly engines: readonly EngineAddress[]
  /** Those that this machine cannot have, and why. */
  readonly missing: Readonly<Partial<Record<EngineName, string>>>
}

function sharedEngines(): SharedEngines {
  const file = process.env['TINTYPE_LAB']
  return file ? (JSON.parse(readFileSync(file, 'utf8')) as SharedEngines) : { engines: [], missing: {} }
}

/** The engine of that name: the one that the test run has started for all, else one of our own. */
export async function labEngine(name: EngineName): Promise<Engine> {
  const address = sharedEngines().engines.find((engine) => engine.name === name)
  return address ? engineAt(address, async () => {}) : await startEngine(name)
}

/** For `test(name, { skip: whyNoEngine('podman') }, …)`: why this machine cannot have an engine, or false. */
export function whyNoEngine(name: EngineName): string | false {
  return sharedEngines().missing[name] ?? false
}

/** The engines that this run of the tests is for. */
export function testedEngines(): readonly EngineName[] {
  return process.env['TINTYPE_TEST_LONG'] === '1' ? ENGINES : ENGINES.slice(0, 2)
}

/** Start an engine by name. `workspace` is for one that outlives this process. */
export async function startEngine(name: EngineName, workspace?: Workspace): Promise<Engine> {
  const place = workspace ?? (await openWorkspace(name))
  try {
    if (name === 'podman') return await startPodman(place)
    return name === 'docker20'
      ? await startDocker20(place)
      : await startDocker28(place, { hasContainerdStore: name === 'docker28' })
  } catch (error) {
    await clearWorkspace(place)
    throw error
  }
}

/** An engine that runs already. */
export function engineAt(address: EngineAddress, stop: () => Promise<void>): Engine {
  // Debian's client first: another one on the PATH may be too new for Docker 20.10.
  const program = existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker'
  const command = [program, '-H', `unix://${address.socketPath}`] as const
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, DOCKER_TLS_VERIFY: _tls, ...rest } = process.env
  const env = { ...rest, DOCKER_CONFIG: `${address.directory}/docker-config` }
  return {
    ...address,
    command: [...command],
    env,
    docker: async (args, options = {}) => {
      const [name, ...before] = command
      return (await mustRun(name, [...before, ...args], { env, ...options })).toString().trim()
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** What `docker20` maps the ids of a container to when it has user namespaces: container root is this id on the host. */
export const REMAPPED_ROOT = 100_000

/** Gives nobody the ids from REMAPPED_ROOT on, in a file that only the engine sees, and runs a program. */
const ENTER_SUBORDINATE_IDS = `
printf '%s:${REMAPPED_ROOT}:65536\\n' nobody nogroup > "$1"
for file in /etc/subuid /etc/subgid; do mount --bind "$1" "$file"; done
shift; exec "$@"
`

/** `docker20`, with a user namespace for its containers (`userns-remap`). */
export async function startRemappedEngine(): Promise<Engine> {
  const workspace = await openWorkspace('docker20-remapped')
  const enter = ['unshare', '--mount', '--propagation', 'private', 'sh', '-euc', ENTER_SUBORDINATE_IDS, 'sh']
  try {
    return await startDocker20(workspace, {
      enterRoot: [...enter, `${workspace.directory}/subordinate-ids`],
      config: { 'userns-remap': 'nobody:nogroup' },
    })
  } catch (error) {
    await clearWorkspace(workspace)
    throw error
  }
}

/** Debian 12's Docker: the storage driver overlay2, a containerd of its own, no network, nothing shared with the host's. */
async function startDocker20(workspace: Workspace, options: Partial<DockerdOptions> = {}): Promise<Engine> {
  // Where the kernel has AppArmor, dockerd insists on its parser.
  await ensurePackages(['docker.io', 'iptables', ...(hasAppArmor() ? ['apparmor'] : [])])
  const state = `${workspace.directory}/state`
  mkdirSync(state, { mode: 0o711 })
  return await startDockerd(workspace, 'docker20', { state, enterRoot: [], features: {}, ...options })
}

/**
 * Makes the root of its mount namespace out of a newer Debian's, and runs a program there. Not `chroot`: runc enters a
 * container by its namespace, whose root would still be the host's. The engine's state lies at the same path inside as
 * outside, so that what mountinfo says is valid on the host; so does /tmp, for volumes of tests.
 */
const ENTER_ROOT = `
lower=$1 directory=$2; shift 2
root=$directory/root state=$directory/state
mount -t overlay tintype-lab -o "lowerdir=$lower,upperdir=$directory/upper,workdir=$directory/work" "$root"
mount -t proc proc "$root/proc"
for tree in /sys /dev /tmp; do mount --rbind "$tree" "$root$tree"; done
mkdir -p "$root$state" "$root/host"
mount --bind "$state" "$root$state"
cd "$root"
pivot_root . host
umount --lazy /host
exec "$@"
`

/** Docker 28 out of a newer Debian's root, over which an overlay is laid for this engine. */
async function startDocker28(workspace: Workspace, store: { hasContainerdStore: boolean }): Promise<Engine> {
  await ensurePackages(['docker.io']) // the client
  const lower = await debianRoot('forky', ['docker.io', 'iptables', 'ca-certificates', 'apparmor'])
  const { directory } = workspace
  for (const name of ['root', 'upper', 'work', 'state']) mkdirSync(`${directory}/${name}`, { mode: 0o711 })
  return await startDockerd(workspace, store.hasContainerdStore ? 'docker28' : 'docker28-overlay2', {
    state: `${directory}/state`,
    enterRoot: ['unshare', '--mount', '--propagation', 'private', 'sh', '-euc', ENTER_ROOT, 'sh', lower, directory],
    features: { 'containerd-snapshotter': store.hasContainerdStore },
  })
}

interface DockerdOptions {
  readonly state: string
  /** What is put before the first command to have a root of its own; the second command follows it there. */
  readonly enterRoot: readonly string[]
  readonly features: Readonly<Record<string, boolean>>
  /** More of daemon.json. */
  readonly config?: Readonly<Record<string, string>>
}

async function startDockerd(workspace: Workspace, name: EngineName, options: DockerdOptions): Promise<Engine> {
  const { state, enterRoot, features, config: more } = options
  const containerd = `${state}/containerd.sock`
  const socketPath = `${state}/docker.sock`
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    // The client may be older than a coming engine likes: any API from 1.24 on will do.
    DOCKER_MIN_API_VERSION: '1.24',
  }
  const run = (prefix: readonly string[], daemon: string, args: readonly string[]) => {
    const [program, ...rest] = [...prefix, daemon, ...args]
    return { name: daemon, program: program!, args: rest, env }
  }
  writeFileSync(`${state}/containerd.toml`, containerdConfig(state, containerd))
  const first = await startDaemon(workspace, {
    ...run(enterRoot, 'containerd', ['--config', `${state}/containerd.toml`]),
    isReady: () => existsSync(containerd),
  })
  const sameRoot = enterRoot.length > 0 ? ['nsenter', '--target', String(first.pid), '--mount'] : []
  const config = {
    'data-root': `${state}/data`,
    'exec-root': `${state}/exec`,
    pidfile: `${state}/docker.pid`,
    hosts: [`unix://${socketPath}`],
    containerd,
    'containerd-namespace': 'moby',
    features,
    bridge: 'none',
    iptables: false,
    ...(features['containerd-snapshotter'] ? {} : { 'storage-driver': 'overlay2' }),
    ...more,
  }
  writeFileSync(`${state}/daemon.json`, JSON.stringify(config))
  await startDaemon(workspace, {
    ...run(sameRoot, 'dockerd', ['--config-file', `${state}/daemon.json`]),
    isReady: () => ping(socketPath),
  })
  const root = features['containerd-snapshotter'] ? `${state}/containerd` : `${state}/data`
  const engine = engineAt({ name, socketPath, root, directory: workspace.directory }, async () => {
    await removeContainers(engine)
    await clearWorkspace(workspace)
  })
  return engine
}

/**
 * Remove all containers of an engine, or those with a label. An engine without containers ends at once; it would give
 * each of them ten seconds.
 */
export async function removeContainers(engine: Engine, label?: string): Promise<void> {
  const [program, ...before] = engine.command
  const filter = label === undefined ? '' : ` --filter label=${label}`
  const script = `"$@" ps --all --quiet${filter} | xargs --no-run-if-empty "$@" rm --force --volumes`
  // An engine that does not answer any more is ended all the same.
  await runProgram('sh', ['-c', script, 'sh', program, ...before], { env: engine.env, timeoutMs: 20_000 })
}

/** containerd's own directories, without what it would do for Kubernetes. */
function containerdConfig(state: string, socketPath: string): string {
  return [
    'version = 2',
    `root = "${state}/containerd"`,
    `state = "${state}/containerd-state"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
    '[grpc]',
    `address = "${socketPath}"`,
    '',
  ].join('\n')
}

/** Whether an engine answers at a socket. */
export function ping(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/_ping', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    asked.on('error', () => resolve(false))
    asked.end()
  })
}

function hasAppArmor(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y')
  } catch {
    return false
  }
}

/** Throws unless containers can have the writable overlay that Tintype reads. */
export async function requireOverlay(engine: Engine): Promise<void> {
  const driver = await engine.docker(['info', '--format', '{{.Driver}}'])
  if (!driver.startsWith('overlay'))
    throw new AppError('overlay_unsupported', `The engine at ${engine.socketPath} stores containers with ${driver}.`)
}
