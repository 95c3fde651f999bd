import { closeSync, constants, openSync, readFileSync } from 'node:fs'

/** One line of mountinfo (proc_pid_mountinfo(5)), as far as it is needed here. */
export interface Mount {
  readonly id: number
  /** `major:minor` of the super block, as the kernel's events name it. stat(2) of a file says another one on btrfs. */
  readonly device: string
  readonly mountPoint: string
  readonly isWritable: boolean
  readonly type: string
}

/** The mounts of the lines of mountinfo. */
export function parseMounts(mountinfo: string): readonly Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ')
    const [id, , device, , mountPoint, options = ''] = left.split(' ')
    const [type = ''] = right.split(' ')
    if (!id || !device || !mountPoint) return []
    return [{ id: Number(id), device, mountPoint: unescape(mountPoint), isWritable: isWritable(options), type }]
  })
}

const isWritable = (options: string) => options.split(',').includes('rw')

/** Blank, tab, line feed and backslash are octal in mountinfo. */
const unescape = (field: string) =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** The mounts that this process sees. */
export function readMounts(): readonly Mount[] {
  return parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'))
}

/**
 * The device, `major:minor`, of the file system that holds `directory`: by the mount that an open descriptor names, so that
 * no path has to be compared. Undefined when that mount is not in sight. Throws the system error when it cannot be opened.
 */
export function deviceOf(directory: string, mounts: readonly Mount[] = readMounts()): string | undefined {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const id = parseMountId(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1'))
    return mounts.find((mount) => mount.id === id)?.device
  } finally {
    closeSync(descriptor)
  }
}

/** The mount that /proc/self/fdinfo/N names, NaN when it names none. */
export function parseMountId(fdinfo: string): number {
  return Number(/^mnt_id:\t(\d+)$/m.exec(fdinfo)?.[1] ?? NaN)
}

/** The filter of an event by which only this device passes: the kernel has 20 bits of minor (MKDEV). */
export function deviceFilter(device: string): string {
  const [major = NaN, minor = NaN] = device.split(':').map(Number)
  return `dev == ${major * 2 ** 20 + minor}`
}
