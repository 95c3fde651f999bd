import type { TreeEntry } from '#lab/describe-tree.ts'
import type { Tree } from './judges.ts'

/** What a judge makes of an entry that is in the image as it should be. */
interface Exception {
  readonly reason: string
  readonly judges: RegExp
  readonly change: (entry: TreeEntry) => TreeEntry | undefined
}

/** 1950, as `date +%s` has it. */
const BEFORE_1970 = -631152000
const OVERFLOWN = -(2 ** 31)

/** Each that is an engine's own doing is shown on a layer of GNU tar's too: `lostAlone`. */
const EXCEPTIONS: readonly Exception[] = [
  {
    reason: 'a name that begins with .wh. cannot be in a layer (image-spec, layer.md § Whiteouts): Tintype reports it',
    judges: /./,
    change: (entry) => (isSavable(entry.path) ? entry : undefined),
  },
  {
    reason: 'the name of an attribute with "=" cannot be in a pax record, whose key it would end: Tintype reports it',
    judges: /./,
    change: (entry) => withoutXattr(entry, 'user.with = and space'),
  },
  {
    reason: 'Docker and Podman make 1970 of times that int64 nanoseconds since then cannot hold or that come before',
    judges: /^(?:docker|podman)/,
    change: (entry) => (entry.kind === 'symlink' || isUnixTime(entry.mtime) ? entry : { ...entry, mtime: 0 }),
  },
  {
    reason: 'umoci lets such a time after 1970 overflow, and the file system takes its lowest',
    judges: /^umoci$/,
    change: (entry) => (entry.mtime < 2 ** 63 / 1e9 ? entry : { ...entry, mtime: OVERFLOWN }),
  },
  {
    reason: 'a pax record without a value means "not set" to the tar reader of older Go programs',
    judges: /^(?:docker20|podman|umoci)$/,
    change: (entry) => withoutXattr(entry, 'user.empty'),
  },
  {
    reason: 'Docker gives every container a root directory of its own, mode 755 of root',
    judges: /^docker/,
    change: (entry) => (entry.path === '.' ? { ...entry, mode: 0o755, uid: 0, gid: 0 } : entry),
  },
]

/** What `pushBase` lets GNU tar write into the base image: files of 1950 and 2400, an attribute without a value, a root of mode 711. */
const ALONE = ['alone/old', 'alone/far', 'alone/attribute', '.']

/** The exceptions as an engine shows them on an image in which there is no byte of ours. */
export function lostAlone(tree: Tree): readonly unknown[] {
  const [old, far, attribute, root] = ALONE.map((path) => tree.get(path))
  return [old?.mtime, far?.mtime, Object.keys(attribute?.xattrs ?? {}), root?.mode]
}

/** The same, as each judge is known to show them. */
export function expectedAlone(judge: string): readonly unknown[] {
  const times = judge === 'umoci' ? [BEFORE_1970, OVERFLOWN] : [0, 0]
  const isOldGo = ['docker20', 'podman', 'umoci'].includes(judge)
  const mode = judge === 'umoci' ? 0o711 : judge === 'podman' ? 0o555 : 0o755
  return [...times, isOldGo ? ['user.text'] : ['user.empty', 'user.text'], mode]
}

/** What a judge is to find of a container that showed `seen`. */
export function expectedOf(seen: Tree, judge: string): Tree {
  const changes = EXCEPTIONS.filter(({ judges }) => judges.test(judge))
  const expected = new Map<string, TreeEntry>()
  const firstOf = new Map<string, string>() // a group has the name of its first member that is left
  for (const [path, entry] of seen) {
    const changed = changes.reduce<TreeEntry | undefined>((each, { change }) => each && change(each), entry)
    if (!changed) continue
    const { group } = changed
    if (group !== undefined && !firstOf.has(group)) firstOf.set(group, path)
    expected.set(path, group === undefined ? changed : { ...changed, group: firstOf.get(group) ?? group })
  }
  return expected
}

/** Whether a layer can name a path. */
export function isSavable(path: string): boolean {
  return !/(?:^|\/)\.wh\./.test(path)
}

/** moby pkg/system/chtimes.go, containerd archive/time.go: until 2262. */
function isUnixTime(seconds: number): boolean {
  return seconds >= 0 && seconds < 2 ** 63 / 1e9
}

function withoutXattr(entry: TreeEntry, name: string): TreeEntry {
  const { xattrs, ...rest } = entry
  if (xattrs?.[name] === undefined) return entry
  const kept = Object.entries(xattrs).filter(([each]) => each !== name)
  return kept.length > 0 ? { ...rest, xattrs: Object.fromEntries(kept) } : rest
}
