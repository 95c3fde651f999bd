/** Random changes through an overlay: what the watch names is what a walk of the upperdir sees, no less and no more. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { systemCode } from '#base/errors.ts'
import { openCtimeWatch } from '#watch/open.ts'
import { OverlayMount } from '../snapshot/overlay-mount.ts'

const RUNS = process.env['TINTYPE_TEST_LONG'] === '1' ? 300 : 15
const scratch = mkdtempSync(join(tmpdir(), 'random-'))
after(() => rmSync(scratch, { recursive: true }))

const NAMES = ['a', 'b', 'a/c', 'a/d', 'a/c/e', 'f', 'lower/g', 'lower/h/i', 'lower/h']

const CHANGES: Record<string, (path: string, other: string) => void> = {
  write: (path) => writeFileSync(path, 'written'),
  append: (path) => appendFileSync(path, 'more'),
  truncate: (path) => truncateSync(path, 2),
  chmod: (path) => chmodSync(path, 0o700),
  utimes: (path) => utimesSync(path, 1, 1),
  mkdir: (path) => mkdirSync(path),
  symlink: (path, other) => symlinkSync(other, path),
  link: (path, other) => linkSync(path, other),
  rename: (path, other) => renameSync(path, other),
  remove: (path) => rmSync(path, { recursive: true }),
  look: (path) => void lstatSync(path),
}

const changeArbitrary = fc.tuple(
  fc.constantFrom(...Object.keys(CHANGES)),
  fc.constantFrom(...NAMES),
  fc.constantFrom(...NAMES),
)

/** Each inode under the upperdir with its ctime. A recursive readdir of Node would follow symlinks. */
function walk(path: string, into = new Map<number, bigint>()): ReadonlyMap<number, bigint> {
  const stats = lstatSync(path, { bigint: true })
  into.set(Number(stats.ino), stats.ctimeNs)
  if (stats.isDirectory()) for (const name of readdirSync(path)) walk(join(path, name), into)
  return into
}

function apply(merged: string, changes: readonly (readonly [string, string, string])[]): void {
  for (const [change, path, other] of changes) {
    try {
      CHANGES[change]!(join(merged, path), join(merged, other))
    } catch (error) {
      assert.ok(systemCode(error) !== undefined, String(error)) // a change that cannot be is none
    }
  }
}

const changesArbitrary = fc.array(changeArbitrary, { maxLength: 40 })

test('the inodes that are named are those whose ctime a walk finds changed, of those that are still there', async () => {
  await fc.assert(
    fc.asyncProperty(changesArbitrary, changesArbitrary, async (first, second) => {
      using overlay = new OverlayMount((lower) => {
        mkdirSync(join(lower, 'lower/h'), { recursive: true })
        for (const name of ['lower/g', 'lower/h/i']) writeFileSync(join(lower, name), 'lower')
      })
      apply(overlay.merged, first)
      const opened = await openCtimeWatch({
        upperdir: overlay.upper,
        scratch,
        recordDirectory: join(scratch, 'records'),
      })
      assert.ok('watch' in opened, 'reason' in opened ? opened.reason : '')
      await using watch = opened.watch
      const before = walk(overlay.upper)
      apply(overlay.merged, second)
      const now = walk(overlay.upper)
      const named = watch.drain()
      assert.equal(watch.lost(), undefined)
      for (const [inode, ctimeNs] of now) assert.equal(named.has(inode), before.get(inode) !== ctimeNs, `${inode}`)
    }),
    { numRuns: RUNS },
  )
})
