/** What the members of a layer are, without their content: read once, and kept below TINTYPE_HOME. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '#base/clock.ts'
import { AppError, systemCode } from '#base/errors.ts'
import type { DiffID } from '#oci/digest.ts'
import { asArray } from '#oci/json.ts'
import type { TarSink } from '#oci/read-tar.ts'
import type { TarHeader } from '#oci/tar.ts'
import { pathOf } from '#snapshot/squash/index-layer.ts'

/** A directory, a hard link with its target, or anything else with its size. Paths have one char a byte. */
export type Member =
  | readonly [kind: 'd', path: string]
  | readonly [kind: 'h', path: string, target: string]
  | readonly [kind: 'f', path: string, sizeBytes: number]

const VERSION = 1
/** A longer list is read from its layer each time: it would be more to keep than it saves. */
const MOST_KEPT = 1_000_000
/** All lists together; those that were not asked for longest go. */
const KEPT_BYTES = 256 * 2 ** 20

/** Hears a layer, and lists what is in it. */
export class MemberLister implements TarSink {
  readonly members: Member[] = []

  onMember(header: TarHeader): void {
    const path = pathOf(header)
    if (header.kind === 'directory') this.members.push(['d', path])
    else if (header.kind === 'hardlink') this.members.push(['h', path, latin1(header.linkName ?? new Uint8Array(0))])
    else this.members.push(['f', path, header.size])
  }

  onBody(): void {}
  onMemberEnd(): void {}
}

/** As the layer said it, but for what a list does not have: owners, times, attributes. */
export function headerOf(member: Member): TarHeader {
  const [kind, path, more] = member
  const unsaid = { name: Buffer.from(path, 'latin1'), mode: 0, uid: 0, gid: 0, size: 0, mtimeSec: 0 }
  if (kind === 'd') return { ...unsaid, kind: 'directory' }
  if (kind === 'h') return { ...unsaid, kind: 'hardlink', linkName: Buffer.from(String(more), 'latin1') }
  return { ...unsaid, kind: 'file', size: Number(more) }
}

/** The list that was kept for a layer, or undefined; one that is damaged or of another version is none. */
export async function readMembers(home: string, diffID: DiffID): Promise<readonly Member[] | undefined> {
  const path = join(directoryOf(home), nameOf(diffID))
  try {
    const members = decode(await readFile(path, 'latin1'))
    const nowSec = systemClock.wallMs() / 1000
    await utimes(path, nowSec, nowSec) // it was asked for: it stays
    return members
  } catch (error) {
    if (error instanceof AppError || error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Keep a list, in one step: a reader sees all of it or nothing. */
export async function keepMembers(home: string, diffID: DiffID, members: readonly Member[]): Promise<void> {
  if (members.length > MOST_KEPT) return
  const directory = directoryOf(home)
  const path = join(directory, nameOf(diffID))
  const temporary = `${path}.${randomUUID()}`
  await mkdir(directory, { recursive: true, mode: 0o700 })
  try {
    await writeFile(temporary, encode(members), { encoding: 'latin1', mode: 0o600, flag: 'wx', flush: true })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Remove the lists that were not asked for longest, until the others fit into `keptBytes`. Never throws. */
export async function tidyMembers(home: string, keptBytes = KEPT_BYTES): Promise<void> {
  const directory = directoryOf(home)
  const names = await readdir(directory).catch(() => [])
  const files = await Promise.all(names.map((name) => sizeOf(join(directory, name))))
  let bytes = 0
  for (const file of files.flat().toSorted((a, b) => b.usedMs - a.usedMs)) {
    bytes += file.size
    if (bytes > keptBytes) await rm(file.path, { force: true }).catch(() => {})
  }
}

async function sizeOf(path: string) {
  try {
    const { size, mtimeMs } = await stat(path)
    return [{ path, size, usedMs: mtimeMs }]
  } catch {
    return [] // another capture has removed it
  }
}

function encode(members: readonly Member[]): string {
  const body = JSON.stringify(members)
  return `${VERSION} ${sha256(body)}\n${body}`
}

function decode(text: string): readonly Member[] {
  const end = text.indexOf('\n')
  const body = text.slice(end + 1)
  if (text.slice(0, Math.max(0, end)) !== `${VERSION} ${sha256(body)}`) throw damaged()
  return asArray(JSON.parse(body), 'list of members').map(parseMember)
}

function parseMember(value: unknown): Member {
  const [kind, path, more] = asArray(value, 'list of members')
  if (typeof path !== 'string') throw damaged()
  if (kind === 'd') return ['d', path]
  if (kind === 'h' && typeof more === 'string') return ['h', path, more]
  if (kind === 'f' && typeof more === 'number') return ['f', path, more]
  throw damaged()
}

function damaged(): AppError {
  return new AppError('internal', 'A kept list of members is damaged or of another version.')
}

const sha256 = (text: string) => createHash('sha256').update(text, 'latin1').digest('hex')
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
const directoryOf = (home: string) => join(home, 'cache', 'layer-members')
const nameOf = (diffID: DiffID) => diffID.slice('sha256:'.length)
