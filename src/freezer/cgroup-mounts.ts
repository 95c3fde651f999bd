/** A mounted cgroup hierarchy, by a line of mountinfo. */
export interface CgroupMount {
  /** Empty for v2. */
  readonly controllers: readonly string[]
  readonly isV1: boolean
  /** Which directory of the hierarchy is mounted there. */
  readonly root: string
  readonly mountPoint: string
}

/** Where a process is in one hierarchy, by a line of /proc/PID/cgroup. */
export interface CgroupPath {
  /** `['']` for v2 (cgroups(7)). */
  readonly controllers: readonly string[]
  readonly path: string
}

// What freezes or kills a group together: v2, systemd's and runc's hierarchies. v1's memory is left out: its OOM killer
// takes one process, and the watchdog's memory stays where its owner's is counted.
const SHARED_FATES = ['', 'name=systemd', 'freezer', 'devices']

/** The cgroup hierarchies among the lines of mountinfo (proc_pid_mountinfo(5)). */
export function parseCgroupMounts(mountinfo: string): readonly CgroupMount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ')
    const [, , , root, mountPoint] = left.split(' ')
    const [type, , options = ''] = right.split(' ')
    if (!root || !mountPoint || (type !== 'cgroup' && type !== 'cgroup2')) return []
    const isV1 = type === 'cgroup'
    return [{ isV1, controllers: isV1 ? options.split(',') : [], root, mountPoint }]
  })
}

/** The lines of /proc/PID/cgroup. */
export function parseCgroupPaths(text: string): readonly CgroupPath[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    return controllers === undefined || path === undefined ? [] : [{ controllers: controllers.split(','), path }]
  })
}

/**
 * The `cgroup.procs` files by which a process leaves every cgroup in which it could be frozen or killed together with
 * those beside it, given its own /proc/self/cgroup and mountinfo: those at the top of the hierarchies.
 */
export function waysOut(cgroups: string, mountinfo: string): readonly string[] {
  const mounts = parseCgroupMounts(mountinfo).filter(({ root }) => root === '/')
  return parseCgroupPaths(cgroups).flatMap(({ controllers, path }) => {
    if (path === '/' || !controllers.some((name) => SHARED_FATES.includes(name))) return []
    const isV1 = controllers[0] !== ''
    const mount = mounts.find(
      (each) => each.isV1 === isV1 && controllers.every((name) => !isV1 || each.controllers.includes(name)),
    )
    return mount === undefined ? [] : [`${mount.mountPoint}/cgroup.procs`]
  })
}
