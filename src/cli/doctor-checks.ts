import { formatBytes } from './text.ts'

/** What the checks look at; the roof gives the real host. */
export interface Host {
  readonly uid: number
  readonly nodeVersion: string
  readonly kernelRelease: string
  readonly home: string
  /** A file's text, or undefined when it cannot be read. */
  readText(path: string): Promise<string | undefined>
  hasPath(path: string): Promise<boolean>
  /** Where a program of PATH is. */
  findProgram(name: string): Promise<string | undefined>
  /** The nearest directory that exists at or above `path`: whether it can be written, and its room. */
  room(path: string): Promise<{ readonly isWritable: boolean; readonly freeBytes: number }>
  hasIsal(): Promise<boolean>
  /** What the engine says of itself. Throws AppError. */
  engine(signal: AbortSignal): Promise<EngineFacts>
}

export interface EngineFacts {
  readonly name: string
  readonly version: string
  readonly storageDriver: string
  /** Who keeps the images, in words. */
  readonly store: string
  readonly rootDirectory: string
  /** It runs as an ordinary user, in namespaces of its own. */
  readonly isRootless: boolean
  /** Hosts that its administrator has allowed to speak plain HTTP, or to have a certificate that nobody knows. */
  readonly insecureRegistries: readonly string[]
}

export interface Finding {
  readonly ok: boolean
  readonly found: string
  readonly remedy: string
}

export interface HostCheck {
  readonly name: string
  /** False: Tintype works without it, only not as well. */
  readonly isNeeded: boolean
  look(host: Host, signal: AbortSignal): Promise<Finding>
}

const finding = (ok: boolean, found: string, remedy: string): Finding => ({ ok, found, remedy: ok ? '' : remedy })

const NODE_MAJOR = 26
const LITTLE_ROOM_BYTES = 5e9 // the spool holds one compressed image while it is on its way
const OVERLAY_DRIVERS: readonly string[] = ['overlay2', 'overlayfs', 'overlay']

const user: HostCheck = {
  name: 'user',
  isNeeded: true,
  look: async ({ uid }) =>
    finding(
      uid === 0,
      uid === 0 ? 'root' : `uid ${uid}`,
      'Run it with sudo: only root can read what a container changed.',
    ),
}

const node: HostCheck = {
  name: 'node',
  isNeeded: true,
  async look({ nodeVersion }) {
    const major = Number(/^v?(\d+)/.exec(nodeVersion)?.[1] ?? 0)
    return finding(major >= NODE_MAJOR, nodeVersion, `Install Node ${NODE_MAJOR} or newer.`)
  },
}

const engine: HostCheck = {
  name: 'engine',
  isNeeded: true,
  async look(host, signal) {
    const { name, version, rootDirectory, isRootless } = await host.engine(signal)
    const found = `${name} ${version}, data in ${rootDirectory}`
    if (isRootless)
      return finding(false, `${found}, rootless`, 'Use an engine of root: name its socket in DOCKER_HOST.')
    if (await host.hasPath(rootDirectory)) return finding(true, found, '')
    const remedy = "Run Tintype where the engine's files are, under the same path: not beside a virtual machine."
    return finding(false, `${found}, which is not on this host`, remedy)
  },
}

const storage: HostCheck = {
  name: 'storage driver',
  isNeeded: true,
  async look(host, signal) {
    const { storageDriver, store } = await host.engine(signal)
    const remedy = 'Tintype reads overlay: set the storage driver of the engine to overlay2 or overlayfs.'
    return finding(OVERLAY_DRIVERS.includes(storageDriver), `${storageDriver} (${store})`, remedy)
  },
}

const OVERLAY_PARAMETERS = '/sys/module/overlay/parameters'

const overlay: HostCheck = {
  name: 'overlay',
  isNeeded: true,
  async look(host) {
    const filesystems = (await host.readText('/proc/filesystems')) ?? ''
    if (!/\boverlay$/m.test(filesystems))
      return finding(false, 'not in /proc/filesystems', 'Load it with "modprobe overlay".')
    const on: string[] = []
    for (const name of ['redirect_dir', 'metacopy'])
      if ((await host.readText(`${OVERLAY_PARAMETERS}/${name}`))?.trim() === 'Y') on.push(name)
    if (on.length === 0) return finding(true, 'redirect_dir and metacopy are off', '')
    const commands = on.map((name) => `echo N > ${OVERLAY_PARAMETERS}/${name}`).join('; ')
    return finding(false, `${on.join(' and ')} on by default`, `Run "${commands}", and start the containers again.`)
  },
}

const freezer: HostCheck = {
  name: 'freezer',
  isNeeded: true,
  async look(host) {
    const lines = ((await host.readText('/proc/self/mountinfo')) ?? '').split('\n')
    if (lines.some((line) => / - cgroup \S+ \S*\bfreezer\b/.test(line))) return finding(true, 'cgroup v1 freezer', '')
    const remedy = 'Mount cgroup v2, or the v1 freezer controller; v2 needs kernel 5.2 or newer.'
    const isV2 = lines.some((line) => line.includes(' - cgroup2 '))
    if (!isV2) return finding(false, 'no cgroup freezer is mounted', remedy)
    const isNew = !isOlder(host.kernelRelease, [5, 2])
    return finding(isNew, isNew ? 'cgroup v2' : 'cgroup v2 without a freezer', remedy)
  },
}

const TRACEFS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'] as const

const tracepoints: HostCheck = {
  name: 'kernel',
  isNeeded: false,
  async look(host) {
    const { kernelRelease } = host
    const mounted: string[] = []
    for (const path of TRACEFS) if (await host.hasPath(`${path}/events`)) mounted.push(path)
    const found = await Promise.all(mounted.map((path) => host.hasPath(`${path}/events/timestamp`)))
    // Not mounted is no obstacle: then the version says whether the kernel can have them (freeze.md).
    const has = mounted.length > 0 ? found.includes(true) : !isOlder(kernelRelease, [6, 13])
    const text = `${kernelRelease}, ${has ? 'with' : 'without'} ctime tracepoints`
    return finding(has, text, 'Kernel 6.13 or newer makes freezes of containers with very many files shorter.')
  },
}

function isOlder(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, a = '0', b = '0'] = /^(\d+)\.(\d+)/.exec(release) ?? []
  return Number(a) < major || (Number(a) === major && Number(b) < minor)
}

const home: HostCheck = {
  name: 'home',
  isNeeded: true,
  async look(host) {
    const { isWritable, freeBytes } = await host.room(host.home)
    const found = `${host.home}, ${formatBytes(freeBytes)} free`
    if (!isWritable)
      return finding(
        false,
        `${host.home} cannot be written`,
        'Run it with sudo, or set TINTYPE_HOME to a directory that can be written.',
      )
    return finding(
      freeBytes >= LITTLE_ROOM_BYTES,
      found,
      'Free some room, or set TINTYPE_HOME to a larger disk: an image waits there on its way.',
    )
  },
}

const isal: HostCheck = {
  name: 'ISA-L',
  isNeeded: false,
  async look(host) {
    const has = await host.hasIsal()
    return finding(
      has,
      has ? 'libisal.so.2' : 'not found, zlib compresses instead',
      'Install it, and compression is four times as fast: apt-get install libisal2 (elsewhere isa-l).',
    )
  },
}

const programs: HostCheck = {
  name: 'programs',
  isNeeded: true,
  async look(host) {
    const wanted = ['unshare', 'setpriv', 'mount'] as const
    const found = await Promise.all(wanted.map((name) => host.findProgram(name)))
    const missing = wanted.filter((_, i) => found[i] === undefined)
    const text = missing.length > 0 ? `${missing.join(', ')} not found` : found.join(', ')
    return finding(missing.length === 0, text, 'Install them: apt-get install util-linux mount.')
  },
}

/** Everything that `doctor` looks at, in the order in which a user would put it right. */
export const HOST_CHECKS: readonly HostCheck[] = [
  user,
  node,
  engine,
  storage,
  overlay,
  freezer,
  tracepoints,
  home,
  isal,
  programs,
]
