import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sleep } from '#base/abort.ts'
import { errnoName, reserve, setXattr, storeThroughMapping } from '#posix/libc.ts'

/** What the self-test asks of a watch. */
export interface WatchUnderTest {
  /** The inodes that were named since `forget`, as keys. */
  drain(): ReadonlyMap<number, unknown>
  forget(): void
}

/** One way to change a file or directory, in a directory of its own that holds `file`, `other` and the directory `sub`. */
interface Kind {
  readonly does: string
  readonly act: (directory: string) => void
  /** What must be named; `.` is the directory itself. */
  readonly names: readonly string[]
}

const CONTENT = Buffer.alloc(4096, 'a')
/** Longer than a tick of any kernel (10 ms at 100 Hz): without multigrain times a second change within one makes no event. */
const TICK_MS = 12

/** Run `change` with the open `name`. */
function withFile(name: string, change: (descriptor: number) => void): (directory: string) => void {
  return (directory) => {
    const descriptor = openSync(join(directory, name), 'r+')
    try {
      change(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }
}

function store(directory: string): void {
  withFile('file', (target) => {
    withFile('other', (source) => {
      const stored = storeThroughMapping(target, source, CONTENT.length)
      if (stored < 0) throw new Error(`${errnoName(stored)}: a store through a mapping`)
    })(directory)
  })(directory)
}

const OWNER = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

/** A path in the directory of the kind. */
const at = (change: (path: string) => void, name: string) => (directory: string) => change(join(directory, name))
const both = (change: (from: string, to: string) => void, from: string, to: string) => (directory: string) =>
  change(join(directory, from), join(directory, to))

const KINDS: readonly Kind[] = [
  { does: 'a write in place', act: withFile('file', (fd) => writeSync(fd, 'b', 0)), names: ['file'] },
  { does: 'an append', act: at((path) => appendFileSync(path, 'b'), 'file'), names: ['file'] },
  { does: 'a truncation', act: withFile('file', (fd) => ftruncateSync(fd, 10)), names: ['file'] },
  { does: 'an extension', act: withFile('file', (fd) => ftruncateSync(fd, 9000)), names: ['file'] },
  { does: 'an open with O_TRUNC', act: at((path) => closeSync(openSync(path, 'w')), 'file'), names: ['file'] },
  // A file system that cannot reserve room cannot be changed so either.
  {
    does: 'a reservation',
    act: withFile('file', (fd) => reserve(fd, 4096, 4096) === 0 || writeSync(fd, 'b')),
    names: ['file'],
  },
  { does: 'a store through a mapping', act: store, names: ['file'] },
  { does: 'a chmod', act: at((path) => chmodSync(path, 0o640), 'file'), names: ['file'] },
  { does: 'a chown', act: at((path) => chownSync(path, OWNER.uid, OWNER.gid), 'file'), names: ['file'] },
  { does: 'a change of times', act: at((path) => utimesSync(path, 1, 1), 'file'), names: ['file'] },
  {
    does: 'an extended attribute',
    act: withFile('file', (fd) => setXattr(fd, 'trusted.tintype', CONTENT.subarray(0, 1))),
    names: ['file'],
  },
  { does: 'a new file', act: at((path) => writeFileSync(path, ''), 'new'), names: ['.', 'new'] },
  { does: 'a new directory', act: at((path) => mkdirSync(path), 'new'), names: ['.', 'new'] },
  { does: 'a new symlink', act: at((path) => symlinkSync('file', path), 'new'), names: ['.', 'new'] },
  { does: 'a link', act: both(linkSync, 'file', 'new'), names: ['.', 'file'] },
  { does: 'an unlink', act: at(unlinkSync, 'file'), names: ['.'] },
  { does: 'the unlink of one of two names', act: at(unlinkSync, 'sub/second'), names: ['sub', 'other'] },
  { does: 'an rmdir', act: at(rmdirSync, 'empty'), names: ['.'] },
  { does: 'a rename', act: both(renameSync, 'file', 'new'), names: ['.'] },
  { does: 'a rename over a file', act: both(renameSync, 'file', 'other'), names: ['.'] },
  { does: 'a rename into another directory', act: both(renameSync, 'file', 'sub/file'), names: ['.', 'sub'] },
  { does: 'a rename of a directory', act: both(renameSync, 'empty', 'sub/empty'), names: ['.', 'sub'] },
]

/**
 * Make every kind of change below a new directory in `scratch`, and see whether the watch names each: a kernel, a file
 * system or a trace that behaves otherwise than we know is found here. Returns the first kind that was not named, or
 * undefined when all were. Throws the system error, and `cancelled`; the directory is removed.
 */
export async function missedKind(
  scratch: string,
  watch: WatchUnderTest,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const home = await mkdtemp(join(scratch, '.tintype-self-test-'))
  try {
    const prepared = KINDS.map((kind, index) => ({ kind, directory: prepare(join(home, String(index))) }))
    await sleep(TICK_MS, signal)
    // As the live pass: with multigrain times the next change of what was looked at gets a time, and an event, of its own.
    for (const { directory } of prepared) for (const name of PREPARED) lstatSync(join(directory, name))
    watch.drain()
    watch.forget()
    const made = prepared.map(({ kind, directory }) => ({ does: kind.does, inodes: change(kind, directory) }))
    const named = watch.drain()
    return made.find(({ inodes }) => !inodes.every((inode) => named.has(inode)))?.does
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

const PREPARED = ['.', 'file', 'other', 'sub', 'sub/second', 'empty']

function prepare(directory: string): string {
  mkdirSync(directory)
  for (const name of ['sub', 'empty']) mkdirSync(join(directory, name))
  for (const name of ['file', 'other']) writeFileSync(join(directory, name), CONTENT)
  linkSync(join(directory, 'other'), join(directory, 'sub/second'))
  return directory
}

/** The inodes that must be named: looked up after the change, which may have made them. */
function change({ act, names }: Kind, directory: string): readonly number[] {
  act(directory)
  return names.map((name) => lstatSync(join(directory, name)).ino)
}
