import { readFileSync, statSync } from 'node:fs'
import { AppError, systemCode } from '#base/errors.ts'
import type { InitProcess } from '#freezer/freezer.ts'
import { identifyProcess, isAlive, parentOf } from '#freezer/process-identity.ts'
import type { IdRange } from '#overlay/id-map.ts'
import {
  findRootOverlay,
  mountedPaths,
  parseMountinfo,
  type MountedPath,
  type OverlayOptions,
  type RootOverlay,
} from '#overlay/mountinfo.ts'

/** What the kernel says of a container's init. */
export interface ProcessRoot {
  readonly init: InitProcess
  readonly overlay: RootOverlay
  readonly mountPoints: readonly MountedPath[]
  readonly uidMap: readonly IdRange[]
  readonly gidMap: readonly IdRange[]
}

const WHOLE_RANGE = 2 ** 32 - 1

/**
 * The root of the process that the engine named. The overlay must be one that its parent, the engine's own process
 * outside of the container, has mounted, too: a container that may mount can make itself a root whose mountinfo names
 * any path of the host. Throws `container_gone`, `overlay_unsupported`, `permission_denied`.
 */
export function readProcessRoot(pid: number, options: OverlayOptions = {}): ProcessRoot {
  const init = identifyProcess(pid)
  if (init === undefined) throw gone()
  try {
    const mounts = parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`))
    const overlay = findRootOverlay(mounts, options)
    assertIsRoot(pid, overlay)
    assertMountedByEngine(pid, overlay, options)
    const uidMap = parseIdMap(readFileSync(`/proc/${pid}/uid_map`, 'latin1'))
    const gidMap = parseIdMap(readFileSync(`/proc/${pid}/gid_map`, 'latin1'))
    if (!isAlive(init)) throw gone() // what was read may be of another process
    return { init, overlay, mountPoints: mountedPaths(mounts), uidMap, gidMap }
  } catch (error) {
    throw explain(error)
  }
}

/** The lines of a uid_map or gid_map; empty when ids are the same inside and outside (user_namespaces(7)). */
export function parseIdMap(text: string): readonly IdRange[] {
  const ranges = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [inside = NaN, outside = NaN, count = NaN] = line.trim().split(/\s+/).map(Number)
      return { inside, outside, count }
    })
  const isIdentity =
    ranges.length === 1 &&
    ranges.every(({ inside, outside, count }) => inside === 0 && outside === 0 && count === WHOLE_RANGE)
  return isIdentity ? [] : ranges
}

function assertIsRoot(pid: number, { device }: RootOverlay): void {
  const found = deviceOf(statSync(`/proc/${pid}/root/`, { bigint: true }).dev)
  if (found === device) return
  const message = `The container's init has changed its root: it is on device ${found}, the overlay is ${device}.`
  throw new AppError('overlay_unsupported', message)
}

/** `major:minor` of a st_dev (makedev(3)). */
function deviceOf(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  return `${major}:${minor}`
}

function assertMountedByEngine(pid: number, { device, upperdir }: RootOverlay, options: OverlayOptions): void {
  const parent = parentOf(pid)
  const mounts = parent === undefined ? [] : parseMountinfo(readFileSync(`/proc/${parent}/mountinfo`))
  for (const mount of mounts) {
    if (mount.device !== device || mount.type !== 'overlay' || mount.root !== '/') continue
    if (findRootOverlay([{ ...mount, mountPoint: '/' }], options).upperdir === upperdir) return
  }
  const message = `The root of the container's init (upperdir ${upperdir}) is not one that the engine has mounted: the container has made it itself.`
  throw new AppError('overlay_unsupported', message)
}

function gone(): AppError {
  return new AppError('container_gone', 'The container ended while it was looked at: try again.')
}

function explain(error: unknown): unknown {
  const code = systemCode(error)
  if (code === 'ENOENT' || code === 'ESRCH') return gone()
  if (code === 'EACCES' || code === 'EPERM')
    return new AppError(
      'permission_denied',
      "The container's /proc entry may not be read: run as root on the engine's host.",
      { cause: error },
    )
  return error
}
