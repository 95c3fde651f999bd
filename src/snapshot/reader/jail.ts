import { closeSync, openSync, promises, readdirSync, readFileSync, statSync, type BigIntStats } from 'node:fs'
import { registerHooks, syncBuiltinESMExports } from 'node:module'
import workerThreads from 'node:worker_threads'
import { AppError } from '#base/errors.ts'
import { changeRoot, cString, getXattr } from '#posix/libc.ts'
import { NEXT_INDEX_DESCRIPTOR } from '#snapshot/protocol.ts'

/** (dev, ino) of a directory. */
export interface Root {
  readonly dev: number
  readonly ino: number
}

export const PROBE_ATTRIBUTE = 'trusted.overlay.tintype-probe'

const broken = (why: string) => new AppError('reader_failed', `The reader's jail does not hold: ${why}.`)

/** What the reader works with, by number (capabilities(7)). */
const RIGHTS = { CAP_DAC_READ_SEARCH: 2, CAP_FOWNER: 3, CAP_SYS_CHROOT: 18, CAP_SYS_ADMIN: 21 } as const

/**
 * The reader has what it needs, and no more: who starts it without CAP_SETPCAP cannot take the rest away, and is not told.
 * Throws `permission_denied` for what is missing, `reader_failed` for what is too much. Called before threads matter: all
 * of them have what the process was started with.
 */
export function requireRights(status = readFileSync('/proc/self/status', 'latin1')): void {
  const held = capabilities(status, 'CapEff')
  for (const [name, bit] of Object.entries(RIGHTS))
    if (!(held & (1n << BigInt(bit))))
      throw new AppError('permission_denied', `${name} is missing: run as root, in a container with --cap-add ${name}.`)
  const allowed = Object.values(RIGHTS).reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n)
  for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapBnd'])
    if (capabilities(status, set) & ~allowed)
      throw broken(`it may do more than read (${set}): CAP_SETPCAP is missing to take that away`)
}

function capabilities(status: string, set: string): bigint {
  const found = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(status)
  if (!found?.[1]) throw broken(`/proc/self/status has no ${set}`)
  return BigInt(`0x${found[1]}`)
}

/** The reader must be allowed to see overlay's attributes, or it would lose `opaque` in silence (attacks.md A5). */
export function requireOverlayAttributes(probePath: string): void {
  const descriptor = openSync(probePath, 'r')
  const length = getXattr(descriptor, cString(PROBE_ATTRIBUTE), new Uint8Array(16))
  closeSync(descriptor)
  if (length <= 0) throw broken('trusted.overlay attributes cannot be read; CAP_SYS_ADMIN is missing')
}

/** An open directory of the host is a way out of a chroot, and an open file is one less to open (attacks.md A5). */
export function requireOwnDescriptors(): void {
  for (const descriptor of readdirSync('/proc/self/fd')) {
    const stats = statSync(`/proc/self/fd/${descriptor}`, { throwIfNoEntry: false })
    if (stats?.isDirectory()) throw broken(`descriptor ${descriptor} is an open directory`)
    const isForeign = Number(descriptor) > NEXT_INDEX_DESCRIPTOR && (stats?.isFile() || stats?.isBlockDevice())
    if (isForeign) throw broken(`descriptor ${descriptor} is an open file`)
  }
}

/** From here on every path is the container's. Only the main thread may call it, once: all threads follow (attacks.md A3). */
export function enterJail(directory: string): void {
  changeRoot(directory)
  process.chdir('/')
}

/** What this thread, and the threads that Node uses for it, see as `/`. */
export async function proveJail(root: Root): Promise<void> {
  const seen: readonly BigIntStats[] = [statSync('/', { bigint: true }), await promises.stat('/', { bigint: true })]
  for (const { dev, ino } of seen) {
    if (Number(dev) !== root.dev || Number(ino) !== root.ino)
      throw broken("a thread does not see the writable layer as '/'")
  }
}

/**
 * No module may be loaded in this thread any more, and no thread be started: it would be the container's code, run as root.
 * Module hooks stop `import` and `require`, but not a Worker's file (attacks.md A4).
 */
export function sealModules(): void {
  function refuse(): never {
    throw broken('a module was asked for after the jail was shut')
  }
  registerHooks({ resolve: refuse, load: refuse })
  Object.assign(workerThreads, { Worker: refuse })
  syncBuiltinESMExports()
}
