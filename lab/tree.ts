import {
  closeSync,
  fchmodSync,
  futimesSync,
  globSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writevSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { ensurePackages } from '#lab/packages.ts'

/** The reference work W of docs/design.md: a Python installation of 2.6 GB in 130 000 files. */
export const REFERENCE_FILES = 130_000
/** The mean of such a tree: packages of many small files and a few large libraries. */
const BYTES_PER_FILE = 20_000
/** How far the size may lie off that mean, so that a large library finds its place. */
const SLACK_BYTES = 4_000_000
/** Every file has a time of its own, the same in each run. */
const FIRST_MTIME_S = Date.UTC(2024, 0, 1) / 1000
/** Among so many there are enough small ones for any mean. */
const FEWEST_SOURCES = 1000
const PAUSE_AFTER_FILES = 500
/** What Python and dpkg write before they rename it: gone in a moment. */
const UNFINISHED = /\.pyc\.\d+$|\.dpkg-(?:new|tmp)$/

export interface TreeOptions {
  /** Default: all of the reference work. */
  readonly files?: number
  readonly signal?: AbortSignal
}

export interface Tree {
  readonly files: number
  readonly bytes: number
}

interface SourceFile {
  readonly path: string
  /** Below its Python installation. */
  readonly name: string
  readonly size: number
  readonly isExecutable: boolean
}

/**
 * Write a tree of files like a Python installation into `directory`, for instance `/proc/PID/root/opt/tree` of a
 * container. The same machine gives the same tree. No two files are equal, though all compress like what they are
 * made from: the Python installations of this machine, as often as needed.
 */
export async function makeTree(directory: string, options: TreeOptions = {}): Promise<Tree> {
  const { files = REFERENCE_FILES, signal } = options
  const sources = thinned(await pythonFiles(), files)
  const made = new Set<string>()
  let count = 0
  let bytes = 0
  for (let turn = 0; count < files; turn++) {
    const source = sources[turn % sources.length]!
    const wanted = (count + 1) * BYTES_PER_FILE
    if (source.size > BYTES_PER_FILE && bytes + source.size > wanted + SLACK_BYTES) continue
    const body = [readFileSync(source.path)]
    // An installation of small files only: glue some, until the mean is right.
    const glued = sources[(turn + 1) % sources.length]!
    if (bytes + source.size + SLACK_BYTES < wanted) body.push(readFileSync(glued.path))
    body.push(Buffer.from(`\n# ${count}\n`))
    const copy = `${directory}/python-${Math.floor(turn / sources.length)}`
    writeFileAt(`${copy}/${source.name}`, body, { made, mtimeS: FIRST_MTIME_S + count, source })
    bytes += body.reduce((sum, part) => sum + part.length, 0)
    count++
    if (count % PAUSE_AFTER_FILES === 0) await setImmediate()
    throwIfAborted(signal)
  }
  return { files: count, bytes }
}

/** A small tree takes every n-th directory: it has a share of everything, and as many files in a directory as a large one. */
function thinned(sources: readonly SourceFile[], files: number): readonly SourceFile[] {
  const step = Math.max(1, Math.floor(sources.length / Math.max(files, FEWEST_SOURCES)))
  const directories = Map.groupBy(sources, ({ path }) => path.slice(0, path.lastIndexOf('/')))
  return [...directories.values()].filter((_, number) => number % step === 0).flat()
}

interface WriteOptions {
  readonly made: Set<string>
  readonly mtimeS: number
  readonly source: SourceFile
}

function writeFileAt(path: string, body: readonly Buffer[], { made, mtimeS, source }: WriteOptions): void {
  const parent = path.slice(0, path.lastIndexOf('/'))
  if (!made.has(parent)) {
    mkdirSync(parent, { recursive: true })
    made.add(parent)
  }
  const file = openSync(path, 'wx', 0o644)
  try {
    writevSync(file, body)
    if (source.isExecutable) fchmodSync(file, 0o755)
    futimesSync(file, mtimeS, mtimeS)
  } finally {
    closeSync(file)
  }
}

let listed: Promise<readonly SourceFile[]> | undefined

/** The same each time in one process: programs of Python that run meanwhile add compiled files. */
function pythonFiles(): Promise<readonly SourceFile[]> {
  return (listed ??= findPythonFiles())
}

/** All files of the machine's Python installations, in one order. Debian's Python is installed where there is none. */
async function findPythonFiles(): Promise<readonly SourceFile[]> {
  const found = installedFiles()
  if (found.length > 0) return found
  await ensurePackages(['python3'])
  const installed = installedFiles()
  if (installed.length === 0) throw new AppError('internal', 'There is no Python installation to make a tree from.')
  return installed
}

function installedFiles(): readonly SourceFile[] {
  const roots = [
    `${process.env['PYENV_ROOT'] ?? `${homedir()}/.pyenv`}/versions`,
    ...globSync('/usr/lib/python3*').toSorted(),
    ...globSync('/usr/local/lib/python3*').toSorted(),
  ]
  return roots.flatMap((root, number) =>
    [...filesBelow(root)].map(({ path, ...file }) => ({
      path,
      ...file,
      name: `lib${number}${path.slice(root.length)}`,
    })),
  )
}

function* filesBelow(directory: string): Generator<Omit<SourceFile, 'name'>> {
  for (const entry of entriesOf(directory)) {
    const path = `${directory}/${entry.name}`
    if (entry.isDirectory()) yield* filesBelow(path)
    else if (entry.isFile() && !UNFINISHED.test(entry.name)) {
      const { size, mode } = lstatSync(path)
      yield { path, size, isExecutable: (mode & 0o100) !== 0 }
    }
  }
}

function entriesOf(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  } catch {
    return [] // a root that this machine does not have
  }
}
