import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { sleep } from '#base/abort.ts'
import { AppError, systemCode } from '#base/errors.ts'
import { parseCgroupMounts, parseCgroupPaths, type CgroupMount } from './cgroup-mounts.ts'

/** `gone`: the cgroup does not exist any more, and so nothing in it is frozen. */
export type CgroupState = 'thawed' | 'freezing' | 'frozen' | 'gone'

// A task in uninterruptible sleep (NFS, FUSE) keeps a cgroup in FREEZING while its others already stand still (attacks.md C8).
const LIMIT_MS = 1000
const FIRST_WAIT_MS = 1
const LONGEST_WAIT_MS = 10

/**
 * What the freezer file of a cgroup says. Read synchronously: the thread pool may be full of reads of the container's
 * files while every millisecond counts, and a cgroup file is memory.
 */
export function readCgroupState(file: string): CgroupState {
  try {
    if (isV1(file)) return parseV1(readFileSync(file, 'latin1'))
    const events = readFileSync(join(dirname(file), 'cgroup.events'), 'latin1')
    if (/^frozen 1$/m.test(events)) return 'frozen'
    return readFileSync(file, 'latin1').trim() === '1' ? 'freezing' : 'thawed'
  } catch (error) {
    if (isGone(error)) return 'gone'
    throw unusable(file, error)
  }
}

/**
 * Freeze all processes of the cgroup and of those below it; a return means that the kernel said FROZEN.
 * Gives up after a second and thaws: `freeze_failed`. Throws `container_gone` when the cgroup is not there.
 */
export async function freezeCgroup(file: string, signal?: AbortSignal): Promise<void> {
  write(file, isV1(file) ? 'FROZEN' : '1')
  try {
    if (await reaches(file, 'frozen', signal)) return
  } catch (error) {
    await thawCgroup(file)
    throw error
  }
  await thawCgroup(file)
  const message =
    'The container did not freeze within a second: a process in it waits for a disk or a network file system.'
  throw new AppError('freeze_failed', message, { details: { file } })
}

/** Thaw the cgroup; a return means that the kernel said THAWED, or that the cgroup is gone. Throws `freeze_failed`. */
export async function thawCgroup(file: string): Promise<void> {
  if (readCgroupState(file) === 'gone') return
  try {
    write(file, isV1(file) ? 'THAWED' : '0')
  } catch (error) {
    if (error instanceof AppError && error.code === 'container_gone') return
    throw error
  }
  if (await reaches(file, 'thawed')) return
  throw new AppError('freeze_failed', `The cgroup stays frozen: see whether one above ${dirname(file)} is frozen.`, {
    details: { file },
  })
}

/**
 * The freezer file for a process's container: v1's where there is one, because on a hybrid machine the runtime sees only
 * that (kubernetes.md), else v2's; undefined when neither can be reached. With `containerId`, the cgroup that carries
 * the id in its name even if the process has moved to one below it (systemd as init does).
 */
export function findFreezerCgroup(pid: number, containerId?: string): string | undefined {
  try {
    const cgroups = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    return freezerFiles(cgroups, readFileSync('/proc/self/mountinfo', 'utf8'), containerId).find((file) =>
      existsSync(file),
    )
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Where the freezer file can be, best first, by the text of /proc/PID/cgroup and /proc/self/mountinfo. */
export function freezerFiles(cgroups: string, mountinfo: string, containerId?: string): readonly string[] {
  const paths = parseCgroupPaths(cgroups)
  const mounts = parseCgroupMounts(mountinfo)
  const filesIn = (isV1: boolean, controller: string, name: string) =>
    mounts.flatMap((mount) => {
      if (mount.isV1 !== isV1 || (isV1 && !mount.controllers.includes(controller))) return []
      const path = paths.find(({ controllers }) => controllers.includes(controller))?.path
      const directory = path === undefined ? undefined : locate(mount, ownPath(path, containerId))
      return directory === undefined ? [] : [join(directory, name)]
    })
  return [...filesIn(true, 'freezer', 'freezer.state'), ...filesIn(false, '', 'cgroup.freeze')]
}

function ownPath(path: string, containerId: string | undefined): string {
  if (containerId === undefined) return path
  const parts = path.split('/')
  const at = parts.findIndex((part) => part.includes(containerId))
  return at < 0 ? path : parts.slice(0, at + 1).join('/')
}

function locate({ root, mountPoint }: CgroupMount, path: string): string | undefined {
  const below =
    root === '/' ? path : path === root ? '' : path.startsWith(`${root}/`) ? path.slice(root.length) : undefined
  // A path that climbs above the mounted root lies in a cgroup namespace that is not ours to reach.
  return below === undefined || below.split('/').includes('..') ? undefined : join(mountPoint, below)
}

async function reaches(file: string, wanted: CgroupState, signal?: AbortSignal): Promise<boolean> {
  let waitMs = FIRST_WAIT_MS
  for (let waitedMs = 0; ; waitedMs += waitMs, waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
    const state = readCgroupState(file) // v1 moves on from FREEZING only when it is read
    if (state === wanted || (state === 'gone' && wanted === 'thawed')) return true
    if (state === 'gone') throw goneError(file)
    if (waitedMs >= LIMIT_MS) return false
    await sleep(waitMs, signal)
  }
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'r+' })
  } catch (error) {
    throw isGone(error) ? goneError(file) : unusable(file, error)
  }
}

const isV1 = (file: string) => basename(file) === 'freezer.state'
const isGone = (error: unknown) => ['ENOENT', 'ENODEV', 'ESRCH'].includes(systemCode(error) ?? '')

function parseV1(text: string): CgroupState {
  const word = text.trim()
  return word === 'FROZEN' ? 'frozen' : word === 'FREEZING' ? 'freezing' : 'thawed'
}

function goneError(file: string): AppError {
  return new AppError('container_gone', 'The container is gone: its cgroup does not exist any more.', {
    details: { file },
  })
}

function unusable(file: string, cause: unknown): AppError {
  const code = systemCode(cause) ?? 'unknown error'
  const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
  return new AppError(
    denied ? 'permission_denied' : 'freeze_failed',
    `The freezer ${file} cannot be used (${code}): run as root on the container's host.`,
    { cause },
  )
}
