import { closeSync, statfsSync } from 'node:fs'
import { mountDetached, systemError } from '#posix/libc.ts'
import { readMounts, type Mount } from './device.ts'

/** The kernel's tracing files, as long as they are needed. */
export interface Tracefs extends Disposable {
  readonly path: string
}

export type OpenTracefs = () => Tracefs

const TRACEFS_MAGIC = 0x74726163

/**
 * Where tracefs can be written to: where the machine has mounted it, else a mount of our own that no process sees, in no
 * mount namespace, and that ends when it is closed or its process dies: nothing has to be unmounted.
 * Throws the system error (EPERM without CAP_SYS_ADMIN, ENODEV when the kernel has none).
 */
export function openTracefs(mounts: readonly Mount[] = readMounts()): Tracefs {
  const mounted = mounts.find((mount) => mount.type === 'tracefs' && mount.isWritable && isInSight(mount.mountPoint))
  if (mounted) return { path: mounted.mountPoint, [Symbol.dispose]: () => {} }
  const descriptor = mountDetached('tracefs')
  if (descriptor < 0) throw systemError('fsopen tracefs', descriptor)
  return { path: `/proc/self/fd/${descriptor}`, [Symbol.dispose]: () => closeSync(descriptor) }
}

/** Something else may be mounted over it. */
function isInSight(mountPoint: string): boolean {
  try {
    return statfsSync(mountPoint).type === TRACEFS_MAGIC
  } catch {
    return false
  }
}

/** What a system error says, for a reason. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
