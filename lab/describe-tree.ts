import { runProgram } from '#base/process.ts'
import { fileURLToPath } from 'node:url'

/** What Python sees of one path; fields that do not apply are missing. */
export interface TreeEntry {
  /** Relative, one character a byte. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink' | 'fifo' | 'char' | 'block'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: number
  readonly size?: number
  readonly sha256?: string
  readonly link?: string
  readonly group?: string
  readonly device?: readonly [number, number]
  readonly xattrs?: Readonly<Record<string, string>>
}

/** Every path below `root` by name, as Python sees it. `skipped` paths are left out with all below them. */
export async function describeTree(
  root: string,
  skipped: readonly string[] = [],
): Promise<ReadonlyMap<string, TreeEntry>> {
  const script = fileURLToPath(new URL('describe-tree.py', import.meta.url))
  const { exitCode, stdout, stderr } = await runProgram('python3', [script, root, ...skipped])
  if (exitCode !== 0) throw new Error(`describe-tree.py ${root}: ${stderr}`)
  const lines = stdout.toString().split('\n').filter(Boolean)
  return new Map(lines.map((line) => JSON.parse(line) as TreeEntry).map((entry) => [entry.path, entry]))
}

/** The paths in which two trees differ, with both sides: empty when they are the same. */
export function differences(
  actual: ReadonlyMap<string, TreeEntry>,
  expected: ReadonlyMap<string, TreeEntry>,
): readonly { readonly path: string; readonly actual: unknown; readonly expected: unknown }[] {
  const paths = new Set([...actual.keys(), ...expected.keys()])
  return [...paths]
    .map((path) => ({ path, actual: actual.get(path), expected: expected.get(path) }))
    .filter((pair) => JSON.stringify(pair.actual) !== JSON.stringify(pair.expected))
}
