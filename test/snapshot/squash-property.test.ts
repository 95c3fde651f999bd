/** Random stacks of layers, as containers that are saved again and again make them: umoci unpacks them as what they become. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { differences } from '#lab/describe-tree.ts'
import { stackTar, storedTar } from '#lab/layer-stack.ts'
import type { Codec, MemberSpec } from '#lab/layer-stack.ts'
import { ensurePackages } from '#lab/packages.ts'
import { openLayoutRepository } from '#registry/layout.ts'
import { squash } from '#snapshot/squash/squash.ts'
import { describeUnpacked } from '../fidelity/judges.ts'
import { assertReadable } from '../support/layers.ts'
import { putStackImage } from '../support/stack-image.ts'

const root = mkdtempSync(join(tmpdir(), 'squash-property-'))
after(() => rmSync(root, { recursive: true }))
await ensurePackages(['umoci'])

const RUNS = process.env['TINTYPE_TEST_LONG'] === '1' ? 60 : 12

/** What happens between two saves. Names are few, so that the same path is often hit again, as another kind of thing. */
interface Step {
  readonly kind: 'file' | 'directory' | 'symlink' | 'remove' | 'recreate' | 'link' | 'change'
  readonly path: string
  readonly other: string
  readonly number: number
}

const name = fc.constantFrom('a', 'b', 'doc', 'caf\xc3\xa9')
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))
const kind = fc.constantFrom<Step['kind']>(
  'file',
  'file',
  'directory',
  'symlink',
  'remove',
  'remove',
  'recreate',
  'link',
  'change',
)
const step = fc.record({ kind, path, other: path, number: fc.integer({ min: 0, max: 4000 }) })
const steps = fc.array(step, { minLength: 1, maxLength: 10 })

type Entry = {
  readonly kind: 'file' | 'symlink' | 'directory'
  readonly inode: number
  readonly spec: Exclude<MemberSpec, string>
}

/** A container's file system: what is there, what of it is in the upper directory, and what that hides. */
class Box {
  /** Whole state: path to entry. */
  readonly state = new Map<string, Entry>()
  #changed = new Set<string>()
  #whiteouts = new Set<string>()
  #opaque = new Set<string>()
  #saved = new Set<string>()
  #inodes = 0

  do({ kind, path, other, number }: Step): void {
    if (kind === 'remove') return this.#remove(path)
    if (kind === 'recreate') {
      if (this.state.get(path)?.kind !== 'directory') return
      this.#remove(path)
      return this.#put(path, 'directory', number)
    }
    if (kind === 'change') {
      const entry = this.state.get(path)
      if (entry?.kind === 'directory') this.#put(path, 'directory', number)
      return
    }
    if (!this.#makeParents(path)) return
    if (kind === 'link') {
      const target = this.state.get(other)
      if (target?.kind !== 'file' || this.state.has(path)) return
      // The kernel copies the target up first, alone: what else it was linked with in lower layers, it is not any more.
      if (!this.#changed.has(other)) this.#set(other, { ...target, inode: ++this.#inodes })
      return this.#set(path, this.state.get(other)!)
    }
    if (this.state.has(path)) this.#remove(path)
    this.#put(path, kind, number)
  }

  #makeParents(path: string): boolean {
    const parts = path.split('/')
    for (let i = 1; i < parts.length; i++) {
      const parent = parts.slice(0, i).join('/')
      const entry = this.state.get(parent)
      if (entry && entry.kind !== 'directory') return false
      if (!entry) this.#put(parent, 'directory', i)
    }
    return true
  }

  #put(path: string, kind: Entry['kind'], number: number): void {
    const common = {
      mode: 0o600 | (number & 0o177),
      uid: number % 7,
      gid: number % 5,
      mtimeSec: 1_600_000_000 + number,
    }
    const xattrs: [string, Buffer][] = number % 3 === 0 ? [['user.n', Buffer.from([number & 0xff, 0, 10])]] : []
    const spec =
      kind === 'directory'
        ? { path: `${path}/`, ...common, mode: common.mode | 0o700, xattrs }
        : kind === 'symlink'
          ? { path, kind: 'symlink' as const, ...common, mode: 0o777, linkName: Buffer.from(`to-${number}`) }
          : { path, ...common, xattrs, content: `${number}\n`.repeat(number % 900) }
    this.#set(path, { kind, inode: ++this.#inodes, spec })
  }

  #set(path: string, entry: Entry): void {
    const wasWhitedOut = this.#whiteouts.delete(path)
    if (entry.kind === 'directory' && wasWhitedOut) this.#opaque.add(path)
    this.state.set(path, entry)
    this.#changed.add(path)
  }

  #remove(path: string): void {
    if (!this.state.has(path)) return
    for (const each of [...this.state.keys()]) {
      if (each !== path && !each.startsWith(`${path}/`)) continue
      this.state.delete(each)
      this.#changed.delete(each)
      this.#opaque.delete(each)
    }
    for (const each of [...this.#whiteouts]) if (each.startsWith(`${path}/`)) this.#whiteouts.delete(each)
    // A whiteout is made over lower paths only, and never in what hides them already.
    const isHidden = [...this.#opaque].some((each) => path.startsWith(`${each}/`))
    if (this.#saved.has(path) && !isHidden) this.#whiteouts.add(path)
  }

  /** What changed as the members of a layer, each after the headers of its ancestors (attacks.md A6 to A8). */
  save(): readonly MemberSpec[] {
    const needed = new Set<string>()
    for (const each of [...this.#changed, ...this.#whiteouts]) {
      const parts = each.split('/')
      for (let i = 1; i < parts.length; i++) needed.add(parts.slice(0, i).join('/'))
    }
    const paths = [...new Set([...needed, ...this.#changed])].sort((a, b) =>
      a.split('/').join('\0') < b.split('/').join('\0') ? -1 : 1,
    )
    const marker = (path: string): MemberSpec => ({ path, uid: 0, gid: 0, mode: 0o600, mtimeSec: 0 })
    const whiteoutsIn = (parent: string) =>
      [...this.#whiteouts]
        .filter((each) => each.slice(0, Math.max(0, each.lastIndexOf('/'))) === parent)
        .sort()
        .map((each) => marker(each.replace(/[^/]*$/, '.wh.$&')))
    const first = new Map<number, string>()
    const members: MemberSpec[] = [...whiteoutsIn('')]
    for (const path of paths) {
      const { kind, inode, spec } = this.state.get(path)!
      const target = kind === 'file' ? first.get(inode) : undefined
      if (target === undefined) members.push({ ...spec, path: kind === 'directory' ? `${path}/` : path })
      else {
        const { content: _content, xattrs: _xattrs, ...rest } = spec
        members.push({ ...rest, path, kind: 'hardlink', linkName: Buffer.from(target, 'latin1') })
      }
      if (kind === 'file') first.set(inode, target ?? path)
      if (this.#opaque.has(path)) members.push(marker(`${path}/.wh..wh..opq`))
      if (kind === 'directory') members.push(...whiteoutsIn(path))
    }
    this.#saved = new Set(this.state.keys())
    this.#changed = new Set()
    this.#whiteouts = new Set()
    this.#opaque = new Set()
    return members
  }
}

let number = 0

async function check(saves: readonly (readonly Step[])[], baseLayers: number, codec: Codec): Promise<void> {
  const directory = mkdtempSync(join(root, 'image-'))
  const target = await openLayoutRepository(join(directory, 'layout'))
  const box = new Box()
  const stack = saves.map((steps) => {
    for (const each of steps) box.do(each)
    return storedTar(stackTar(box.save()), codec)
  })
  await putStackImage(target, stack, { tag: 't', base: { layers: baseLayers } })
  const before = await describeUnpacked(join(directory, 'layout'), directory)
  const squashed = await squash({
    image: { repository: target, tagOrDigest: 't', text: 'oci:layout:t' },
    target,
    tag: 't',
    reference: 'oci:layout:t',
    overwrite: true,
    isInPlace: true,
    home: join(directory, 'home'),
    compression: codec === 'none' ? 'none' : 'gzip',
    zstdEverywhere: false,
    signal: new AbortController().signal,
  })
  assert.ok(squashed.layers.length <= 1)
  assertReadable(squashed.layers.map(({ digest }) => join(directory, 'layout/blobs/sha256', digest.slice(7))))
  const after = await describeUnpacked(join(directory, 'layout'), directory)
  assert.deepEqual(differences(after, before), [], `image ${number++}: what umoci unpacks is the same`)
  const paths = [...after.keys()].filter((each) => each !== '.')
  assert.deepEqual(paths.sort(), [...box.state.keys()].sort(), 'and what the container showed')
  rmSync(directory, { recursive: true })
}

test('random stacks, path by path', async () => {
  const codec = fc.constantFrom<Codec>('gzip', 'none')
  await fc.assert(fc.asyncProperty(fc.array(steps, { minLength: 2, maxLength: 6 }), fc.nat({ max: 2 }), codec, check), {
    numRuns: RUNS,
    seed: 20261124,
    endOnFailure: true,
  })
})

const remove = (path: string): Step => ({ kind: 'remove', path, other: '', number: 0 })
const make = (kind: 'file' | 'directory', path: string, number = 7): Step => ({ kind, path, other: '', number })
const SEQUENCES: readonly [string, readonly (readonly Step[])[]][] = [
  [
    'rm -rf doc, save, mkdir doc',
    [[make('file', 'doc/a'), make('file', 'doc/b/c')], [remove('doc')], [make('directory', 'doc')]],
  ],
  [
    'directory, file, directory',
    [[make('file', 'doc/a')], [remove('doc'), make('file', 'doc')], [remove('doc'), make('file', 'doc/b')]],
  ],
  [
    'directory made again and again',
    [
      [make('file', 'doc/a')],
      [remove('doc'), make('file', 'doc/b')],
      [remove('doc'), make('file', 'doc/c')],
      [make('file', 'doc/a', 9)],
    ],
  ],
]
for (const [reason, saves] of SEQUENCES) test(reason, () => check(saves, 1, 'gzip'))
