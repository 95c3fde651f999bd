/** The paths of a base image: read once from its layers, and kept below TINTYPE_HOME. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError, systemCode } from '#base/errors.ts'
import { digestOf, type Digest } from '#oci/digest.ts'
import { asArray, asObject, asString } from '#oci/json.ts'
import { IMPLIED, Directory, Leaf, sortedNames, Tree } from './tree.ts'
import type { DirectoryMetadata } from './tree.ts'

const VERSION = 1
/** What a base has at a path that is no directory: squashing asks for no more. */
const SOMETHING = new Leaf(
  { name: Buffer.from('x'), kind: 'file', mode: 0, uid: 0, gid: 0, size: 0, mtimeSec: 0 },
  -1,
  -1,
)

/** The tree that was kept for the base of these diffIDs, or undefined; one that is damaged or of another version is none. */
export async function readKeptBase(home: string, diffIDs: readonly Digest[]): Promise<Tree | undefined> {
  try {
    return decodeBase(await readFile(pathOf(home, diffIDs), 'latin1'))
  } catch (error) {
    if (error instanceof AppError || error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Keep a settled tree, in one step: a reader sees all of it or nothing. */
export async function keepBase(home: string, diffIDs: readonly Digest[], tree: Tree): Promise<void> {
  const path = pathOf(home, diffIDs)
  const temporary = `${path}.${randomUUID()}`
  await mkdir(join(home, 'cache', 'base-paths'), { recursive: true, mode: 0o700 })
  try {
    await writeFile(temporary, encodeBase(tree), { encoding: 'latin1', mode: 0o600, flag: 'wx', flush: true })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

function pathOf(home: string, diffIDs: readonly Digest[]): string {
  const identity = digestOf(JSON.stringify(diffIDs)).slice('sha256:'.length)
  return join(home, 'cache', 'base-paths', identity)
}

/**
 * A line of JSON for each directory, parents first: its path, its metadata, the names in it that are no directories. The
 * first line has the version and the digest of the others. Everything is ASCII: names are escaped.
 */
export function encodeBase(tree: Tree): string {
  const lines: string[] = []
  const visit = (directory: Directory, path: string) => {
    const names = sortedNames(directory)
    const isDirectory = (name: string) => directory.children.get(name) instanceof Directory
    const line = [path, encodeMetadata(directory.metadata), names.filter((name) => !isDirectory(name))]
    lines.push(JSON.stringify(line).replace(/[\x80-\xff]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`))
    for (const name of names) {
      const child = directory.children.get(name)
      if (child instanceof Directory) visit(child, path === '' ? name : `${path}/${name}`)
    }
  }
  visit(tree.root, '')
  const body = lines.join('\n')
  return `${JSON.stringify({ version: VERSION, sha256: sha256(body) })}\n${body}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex')
}

function encodeMetadata(metadata: DirectoryMetadata | undefined): readonly unknown[] | null {
  if (!metadata) return null
  const { mode, uid, gid, mtimeSec, mtimeNs = 0, xattrs = [] } = metadata
  return [mode, uid, gid, mtimeSec, mtimeNs, xattrs.map(([name, value]) => [name, Buffer.from(value).toString('hex')])]
}

/** Throws AppError or SyntaxError for what was not written by `encodeBase` of this version. */
export function decodeBase(text: string): Tree {
  const end = text.indexOf('\n')
  const head = asObject(JSON.parse(text.slice(0, Math.max(0, end))), 'list of paths')
  const body = text.slice(end + 1)
  if (head['version'] !== VERSION || head['sha256'] !== sha256(body)) throw damaged()
  const tree = new Tree()
  for (const line of body.split('\n')) {
    const [path, metadata, names] = asArray(JSON.parse(line), 'list of paths')
    addDirectory(tree, asString(path, 'list of paths'), parseMetadata(metadata))
    const prefix = path === '' ? '' : `${String(path)}/`
    for (const name of asArray(names, 'list of paths'))
      tree.putLeaf(prefix + asString(name, 'list of paths'), SOMETHING)
  }
  return tree
}

function addDirectory(tree: Tree, path: string, metadata: DirectoryMetadata | undefined): void {
  if (metadata || path !== '') tree.putDirectory(path, metadata ?? IMPLIED)
}

function parseMetadata(value: unknown): DirectoryMetadata | undefined {
  if (value === null) return undefined
  const [mode, uid, gid, mtimeSec, mtimeNs, xattrs] = asArray(value, 'list of paths')
  return {
    mode: asNumber(mode),
    uid: asNumber(uid),
    gid: asNumber(gid),
    mtimeSec: asNumber(mtimeSec),
    mtimeNs: asNumber(mtimeNs),
    xattrs: asArray(xattrs, 'list of paths').map((each) => {
      const [name, hex] = asArray(each, 'list of paths')
      return [asString(name, 'list of paths'), Buffer.from(asString(hex, 'list of paths'), 'hex')] as const
    }),
  }
}

function asNumber(value: unknown): number {
  if (typeof value !== 'number') throw damaged()
  return value
}

function damaged(): AppError {
  return new AppError('internal', 'A kept list of paths is damaged or of another version.')
}
