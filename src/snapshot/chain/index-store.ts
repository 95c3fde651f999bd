import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { open, readdir, readFile, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { readAtOnce, systemClock, type Clock } from '#base/clock.ts'
import { systemCode } from '#base/errors.ts'
import { makeDirectory } from '#base/make-directory.ts'
import { digestOf, parseDigest, type Digest } from '#oci/digest.ts'
import type { IndexCounts } from '#snapshot/protocol.ts'
import type { Source } from '#snapshot/source.ts'
import { encodeRecord, parseRecord, type ClockState, type IndexIdentity, type IndexRecord } from './record.ts'

/** An index that can be relied on: the body is whole, and open for reading. */
export interface StoredIndex extends AsyncDisposable {
  readonly record: IndexRecord
  readonly body: FileHandle
}

/** The body of the index that this capture will leave. It is gone with the capture unless it was kept. */
export interface NextIndex extends AsyncDisposable {
  readonly body: FileHandle
  /** Make sure that what the reader has written is on the disk; its digest. */
  seal(): Promise<Digest>
  /** From now on this is the container's index. One step: a reader sees the old one or the new one. */
  keep(record: Omit<IndexRecord, 'body'>, sealed: IndexCounts & { readonly digest: Digest }): Promise<void>
}

/** So many sets of exclusions of one container have an index of their own (attacks.md C3). */
const KEPT_SETS = 4
const HASH_BYTES = 1 << 20
/** A directory without a record is of no capture that still goes on: and if it is, that one's index is lost, and nothing else. */
const LONGEST_CAPTURE_MS = 24 * 60 * 60_000

/** What an index of `source` with these exclusions (byte paths) is bound to. Throws when the upperdir is gone. */
export function identityOf(source: Source, exclusions: readonly string[]): IndexIdentity {
  const { ino, birthtimeNs } = statSync(source.upperdir, { bigint: true })
  const { configDigest, manifestDigest, diffIDs } = source.base
  return {
    containerId: source.containerId,
    upperdir: source.upperdir,
    inode: String(ino),
    birthNs: String(birthtimeNs),
    base: digestOf(JSON.stringify([configDigest ?? null, manifestDigest ?? null, diffIDs])),
    exclusions: [...new Set(exclusions)].sort(),
  }
}

/** The machine's boot, and its clock against it; the time since the boot has steps of 10 ms. */
export function clockState(clock: Clock = systemClock): ClockState {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  return { bootId, offsetMs: readAtOnce(() => Math.round(clock.wallMs() - uptime() * 1000)) }
}

/** The index for `identity`, or why there is none that can be relied on: one that cannot be read is none. */
export async function readIndex(home: string, identity: IndexIdentity): Promise<StoredIndex | { reason: string }> {
  const directory = directoryOf(home, identity)
  const text = await readText(join(directory, recordName(identity)))
  if (text === undefined) return { reason: await whyNone(directory) }
  const record = parseRecord(text)
  if (!record) return { reason: 'the index of the container is damaged, or of another version' }
  if (!isSame(record.identity, identity)) return { reason: 'the container was made anew, or its base image is another' }
  const body = await openBody(join(directory, record.body.file), record.body.digest)
  if (!body) return { reason: 'the index of the container is damaged' }
  return { record, body, [Symbol.asyncDispose]: () => body.close() }
}

/** Room for the next index. Throws what the file system throws. */
export async function openNextIndex(home: string, identity: IndexIdentity): Promise<NextIndex> {
  const directory = directoryOf(home, identity)
  await makeDirectory(directory, 0o700)
  const file = `${keyOf(identity)}-${randomUUID()}.rows`
  const body = await open(join(directory, file), 'wx+', 0o600)
  let isKept = false
  return {
    body,
    async seal() {
      const digest = await digestOfFile(body)
      await body.datasync()
      return digest
    },
    async keep(record, { rows, nameBytes, digest }) {
      const stored = encodeRecord({ ...record, body: { file, digest, rows, nameBytes } })
      const path = join(directory, recordName(identity))
      const temporary = `${path}.${randomUUID()}`
      try {
        await writeFile(temporary, stored, { mode: 0o600, flag: 'wx', flush: true })
        await rename(temporary, path)
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
      isKept = true
      await tidy(directory).catch(() => {}) // the next one does it
    },
    async [Symbol.asyncDispose]() {
      await body.close()
      if (!isKept) await rm(join(directory, file), { force: true })
    },
  }
}

/** Remove the indexes of containers that are no more. Never throws. */
export async function sweepIndexes(home: string): Promise<void> {
  const all = join(home, 'index')
  for (const name of await readdir(all).catch(() => [])) {
    const directory = join(all, name)
    if (!(await isOfNobody(directory))) continue
    await rm(directory, { recursive: true, force: true }).catch(() => {})
  }
}

async function isOfNobody(directory: string): Promise<boolean> {
  const records = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.json'))
  for (const name of records) {
    const upperdir = parseRecord((await readText(join(directory, name))) ?? '')?.identity.upperdir
    if (upperdir !== undefined) return await isGone(upperdir)
  }
  // It is being made, or what made it was killed, or nothing of it can be read.
  const { mtimeMs } = await stat(directory).catch(() => ({ mtimeMs: Infinity }))
  return mtimeMs < systemClock.wallMs() - LONGEST_CAPTURE_MS
}

async function isGone(path: string): Promise<boolean> {
  return await stat(path).then(
    () => false,
    (error: unknown) => systemCode(error) === 'ENOENT',
  )
}

/** Bodies that no record names, and the oldest sets of exclusions. The upperdir's lock is held: nobody else is at work here. */
async function tidy(directory: string): Promise<void> {
  const names = readdirSync(directory)
  const records = names
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, changedMs: statSync(join(directory, name)).mtimeMs }))
    .sort((a, b) => b.changedMs - a.changedMs)
  const kept = records.slice(0, KEPT_SETS).map(({ name }) => name)
  const bodies = kept.map((name) => parseRecord(readFileSync(join(directory, name), 'utf8'))?.body.file)
  const needed = new Set<string | undefined>([...kept, ...bodies])
  for (const name of names) if (!needed.has(name)) await rm(join(directory, name), { force: true })
}

async function whyNone(directory: string): Promise<string> {
  const others = (await readdir(directory).catch(() => [])).some((name) => name.endsWith('.json'))
  return others ? 'the exclusions are others than those of the snapshots before' : 'first snapshot of this container'
}

function isSame(a: IndexIdentity, b: IndexIdentity): boolean {
  return JSON.stringify(identityKey(a)) === JSON.stringify(identityKey(b))
}

function identityKey({ containerId, upperdir, inode, birthNs, base, exclusions }: IndexIdentity): readonly unknown[] {
  return [containerId, upperdir, inode, birthNs, base, exclusions]
}

const directoryOf = (home: string, { containerId }: IndexIdentity) => join(home, 'index', containerId)
const recordName = (identity: IndexIdentity) => `${keyOf(identity)}.json`

/** One a set of exclusions. */
function keyOf({ exclusions }: IndexIdentity): string {
  return digestOf(JSON.stringify(exclusions)).slice('sha256:'.length, 'sha256:'.length + 16)
}

/** Undefined when it is not there; empty, which is no record, when it cannot be read. */
async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? undefined : ''
  }
}

/** Undefined when it cannot be read, or is not what was written. */
async function openBody(path: string, digest: Digest): Promise<FileHandle | undefined> {
  let body: FileHandle | undefined
  try {
    body = await open(path, 'r')
    if ((await digestOfFile(body)) === digest) return body
  } catch (error) {
    if (systemCode(error) === undefined) throw error
  }
  await body?.close()
  return undefined
}

async function digestOfFile(file: FileHandle): Promise<Digest> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(HASH_BYTES)
  for (let position = 0; ;) {
    const { bytesRead } = await file.read(buffer, 0, HASH_BYTES, position)
    if (bytesRead === 0) return parseDigest(`sha256:${hash.digest('hex')}`)
    hash.update(buffer.subarray(0, bytesRead))
    position += bytesRead
  }
}
