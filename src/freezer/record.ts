import { createHash } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { AppError, systemCode } from '#base/errors.ts'
import type { Freezer, InitProcess } from './freezer.ts'
import { identifyProcess } from './process-identity.ts'

/** What has to be known to thaw a container after everybody who froze it is dead (attacks.md A9). */
export interface FreezeRecord {
  readonly freezer: Freezer
  /** The container's init: a container with another one is not the one that was frozen. */
  readonly init: InitProcess
  readonly owner: InitProcess
  /** Wall clock, milliseconds since 1970. */
  readonly deadlineMs: number
  /** The processes run again, but the engine may still take them for paused: it did not answer when they were thawed. */
  readonly engineBehind: boolean
}

/** Where freezes are recorded unless the caller says otherwise: gone after a reboot, as freezes are. */
export const RECORD_HOME = '/run/tintype'

/** The record's path: one per container and owner. */
export function recordPath(home: string, freezer: Freezer, owner: InitProcess): string {
  const name = freezer.kind === 'engine' ? `${freezer.socketPath}\0${freezer.containerId}` : freezer.cgroup
  const key = createHash('sha256').update(name).digest('hex').slice(0, 16)
  return join(home, `freeze-${key}-${owner.pid}.json`)
}

/** Write the record so that it survives a crash of the host's processes: temp file, fsync, rename, fsync of the directory. */
export function writeRecord(path: string, record: FreezeRecord): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const temporary = path.replace(/\.json$/, `.${process.pid}.tmp`)
  const fd = openSync(temporary, 'w', 0o600)
  try {
    writeSync(fd, JSON.stringify(record))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, path)
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

/** Remove the record; one that is gone already is as good. */
export function removeRecord(path: string): void {
  rmSync(path, { force: true })
}

/** The record at `path`, or undefined when it is gone, or is no record. */
export function readRecord(path: string): FreezeRecord | undefined {
  try {
    return parseRecord(readFileSync(path, 'utf8'))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * The paths of all records under `home`. Temporary files of dead writers are swept on the way.
 * Throws `permission_denied`.
 */
export function listRecords(home: string): readonly string[] {
  let names: string[]
  try {
    names = readdirSync(home)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') return []
    if (code !== 'EACCES') throw error
    const message = `${home} cannot be read, where freezes are recorded: run as root (sudo).`
    throw new AppError('permission_denied', message, { cause: error, details: { home } })
  }
  for (const name of names) if (isStaleTemporary(name)) removeRecord(join(home, name))
  return names.filter((name) => /^freeze-.*\.json$/.test(name)).map((name) => join(home, name))
}

function isStaleTemporary(name: string): boolean {
  const writer = /^freeze-.*\.(\d+)\.tmp$/.exec(name)?.[1]
  return writer !== undefined && identifyProcess(Number(writer)) === undefined
}

function parseRecord(text: string): FreezeRecord | undefined {
  try {
    const record = JSON.parse(text) as FreezeRecord
    const isWhole = isFreezer(record.freezer) && isIdentity(record.init) && isIdentity(record.owner)
    return isWhole && Number.isFinite(record.deadlineMs) && typeof record.engineBehind === 'boolean'
      ? record
      : undefined
  } catch {
    return undefined
  }
}

function isFreezer(value: Freezer | undefined): boolean {
  return value?.kind === 'engine'
    ? typeof value.socketPath === 'string' && typeof value.containerId === 'string'
    : typeof value?.cgroup === 'string'
}

function isIdentity(value: InitProcess | undefined): boolean {
  return Number.isInteger(value?.pid) && typeof value?.startTime === 'string'
}
