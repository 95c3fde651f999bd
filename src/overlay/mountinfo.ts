import { posix } from 'node:path'
import { AppError } from '#base/errors.ts'

/** One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)). Texts hold one char a byte, octal escapes resolved. */
export interface Mount {
  readonly id: number
  readonly parentId: number
  /** `major:minor` of the file system. */
  readonly device: string
  /** Which directory of the file system is mounted. */
  readonly root: string
  readonly mountPoint: string
  readonly type: string
  /** Not resolved: the separators inside an option's value are still escaped. */
  readonly superOptions: readonly string[]
}

/** The overlay that is a process's root: host paths, as the kernel was given them, relative ones resolved. */
export interface RootOverlay {
  readonly device: string
  /** Topmost first. */
  readonly lowerdirs: readonly string[]
  readonly upperdir: string
  readonly workdir: string
  /** The overlay keeps its attributes as `user.overlay.*`. */
  readonly userXattr: boolean
}

export interface OverlayOptions {
  /** The directory from which the engine mounts when it gives relative paths: Docker's overlay2 root. */
  readonly mountedFrom?: string
}

export interface MountedPath {
  /** In the container, raw bytes. */
  readonly path: Buffer
  /** Something the user may take for a part of the container (a volume, a bind mount, a tmpfs). */
  readonly isVolume: boolean
}

// SELinux writes a context with commas in quotes, and nothing else does.
const OPTION = /\w*context="[^"]*"|[^,]+/g
// Options that change nothing about what an upperdir means; of kernels up to 6.18 (fs/overlayfs/params.c) and of LSMs.
const HARMLESS = new Set([
  'rw',
  'ro',
  'index',
  'nfs_export',
  'xino',
  'uuid',
  'volatile',
  'default_permissions',
  'seclabel',
])
const LABELS = new Set(['context', 'fscontext', 'defcontext', 'rootcontext'])
const NAMED = new Set(['lowerdir', 'lowerdir+', 'upperdir', 'workdir', 'userxattr'])
const OFF: Readonly<Record<string, readonly string[]>> = {
  // `follow` and `nofollow` make no redirects; what an earlier mount has made the reader finds, and refuses.
  redirect_dir: ['off', 'follow', 'nofollow'],
  metacopy: ['off'],
  verity: ['off'],
}
/** What the engine mounts for itself: nobody misses it in an image. */
const ENGINE_DIRECTORIES = ['/proc', '/sys', '/dev', '/run/secrets', '/var/run/secrets']
const ENGINE_FILES = [
  '/etc/hosts',
  '/etc/hostname',
  '/etc/resolv.conf',
  '/run/.containerenv',
  '/.dockerenv',
  '/sbin/docker-init',
  '/run/podman-init',
  '/dev/init',
]
const DRIVER_STUB = /\/(?:lib)?(?:nvidia|cuda)[^/]*$|\/firmware\/nvidia\//

/** The lines of /proc/PID/mountinfo. Throws `internal` for one that is not of its form. */
export function parseMountinfo(bytes: Uint8Array): readonly Mount[] {
  const lines = Buffer.from(bytes).toString('latin1').split('\n')
  return lines.filter((line) => line !== '').map(parseLine)
}

function parseLine(line: string): Mount {
  // Optional fields stand between the sixth and a lone hyphen.
  const [left = '', right = ''] = line.split(/ - (.*)/s)
  const [id, parentId, device, root, mountPoint] = left.split(' ')
  const [type, , options] = right.split(' ')
  if (!id || !parentId || !device || !root || !mountPoint || !type || options === undefined)
    throw new AppError('internal', `A line of mountinfo is not of its form: ${JSON.stringify(line.slice(0, 200))}.`)
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    root: unescape(root),
    mountPoint: unescape(mountPoint),
    type: unescape(type),
    superOptions: options.match(OPTION) ?? [],
  }
}

/**
 * The overlay at `/`. Throws `overlay_unsupported`, saying what was found, when the root is no overlay, or one whose
 * upperdir alone does not say what changed.
 */
export function findRootOverlay(mounts: readonly Mount[], options: OverlayOptions = {}): RootOverlay {
  // Of mounts over each other the last one is seen.
  const root = mounts.findLast(({ mountPoint }) => mountPoint === '/')
  if (root === undefined) throw unsupported('has no root of its own in mountinfo (its init changed its root)')
  if (root.type !== 'overlay') throw unsupported(`has a root of type ${describeType(root)}`)
  if (root.root !== '/') throw unsupported(`has a part of an overlay as its root (${root.root})`)
  return parseOverlay(root, options)
}

function parseOverlay({ device, superOptions }: Mount, { mountedFrom }: OverlayOptions): RootOverlay {
  const values = new Map<string, string[]>()
  for (const option of superOptions) {
    const [name = '', value = ''] = option.split(/=(.*)/s)
    checkOption(name, value)
    values.set(name, [...(values.get(name) ?? []), unescape(value)])
  }
  const [upper] = values.get('upperdir') ?? []
  const [work] = values.get('workdir') ?? []
  if (upper === undefined || work === undefined) throw unsupported('has a read-only overlay (no upperdir)')
  // Engines with many layers mount from the directory that holds them all, so that the options fit into a page.
  const base = upper.startsWith('/') ? posix.dirname(posix.dirname(upper)) : mountedFrom && toBytes(mountedFrom)
  if (base === undefined) throw unsupported(`has an overlay with a relative upperdir (${upper})`)
  const lowerdirs = [...(values.get('lowerdir') ?? []).flatMap(splitLowerdirs), ...(values.get('lowerdir+') ?? [])]
  const resolve = (path: string) => toHostPath(posix.resolve(base, path))
  return {
    device,
    lowerdirs: lowerdirs.map(resolve),
    upperdir: resolve(upper),
    workdir: resolve(work),
    userXattr: values.has('userxattr'),
  }
}

function checkOption(name: string, value: string): void {
  if (HARMLESS.has(name) || LABELS.has(name) || NAMED.has(name) || OFF[name]?.includes(value)) return
  const option = value === '' ? name : `${name}=${value}`
  const why = name in OFF ? 'is in use' : 'is not known'
  throw unsupported(`has an overlay whose mount option ${option} ${why}`)
}

/** The colon-separated list of `lowerdir=`, in which a colon of a path is `\:`. */
function splitLowerdirs(list: string): readonly string[] {
  const paths = list.split(/(?<!\\):/)
  if (paths.includes('')) throw unsupported('has an overlay with data-only lower layers')
  return paths.map((path) => path.replace(/\\(.)/gs, '$1'))
}

/** Every path below `/` at which something is mounted, each once, in the order of the lines. */
export function mountedPaths(mounts: readonly Mount[]): readonly MountedPath[] {
  const paths = new Set(mounts.map(({ mountPoint }) => mountPoint).filter((path) => path !== '/'))
  return [...paths].map((path) => ({ path: Buffer.from(path, 'latin1'), isVolume: isVolume(path) }))
}

function isVolume(path: string): boolean {
  const isEngines = ENGINE_DIRECTORIES.some((directory) => path === directory || path.startsWith(`${directory}/`))
  return !isEngines && !ENGINE_FILES.includes(path) && !DRIVER_STUB.test(path)
}

/** `\040` and the like, as the kernel writes blanks, line ends, backslashes and separators (seq_escape). */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

function toBytes(path: string): string {
  return Buffer.from(path, 'utf8').toString('latin1')
}

function toHostPath(bytes: string): string {
  const path = Buffer.from(bytes, 'latin1').toString('utf8')
  if (path.includes('\u{fffd}')) throw unsupported('has an overlay in a directory whose path is not UTF-8')
  return path
}

function describeType({ type }: Mount): string {
  const known: Readonly<Record<string, string>> = {
    'fuse.fuse-overlayfs': 'fuse-overlayfs',
    '9p': '9p (gVisor, Kata or another sandbox)',
    virtiofs: 'virtiofs (Kata or another virtual machine)',
  }
  return known[type] ?? type
}

function unsupported(what: string): AppError {
  const message = `The container ${what}: Tintype saves containers whose root is a plain overlay (Docker's overlay2, containerd's overlayfs).`
  return new AppError('overlay_unsupported', message)
}
