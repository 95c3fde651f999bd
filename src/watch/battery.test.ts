import assert from 'node:assert/strict'
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { missedKind, type WatchUnderTest } from './battery.ts'

const scratch = mkdtempSync(join(tmpdir(), 'battery-'))
after(() => rmSync(scratch, { recursive: true }))

/** All below `scratch`, with its ctime: what a walk sees. */
function look(): ReadonlyMap<number, bigint> {
  const paths = readdirSync(scratch, { recursive: true, encoding: 'utf8' }).map((path) => join(scratch, path))
  return new Map(
    paths.map((path) => {
      const { ino, ctimeNs } = lstatSync(path, { bigint: true })
      return [Number(ino), ctimeNs]
    }),
  )
}

/** A watch by walking: the judge of the self-test itself. It never names what `hides` says. */
function walker(hides: (inode: number) => boolean = () => false): WatchUnderTest {
  let before = look()
  return {
    drain() {
      return new Map([...look()].filter(([inode, ctime]) => before.get(inode) !== ctime && !hides(inode)))
    },
    forget() {
      before = look()
    },
  }
}

test('each kind sets a ctime that a walk sees, and nothing is left behind', async () => {
  assert.equal(await missedKind(scratch, walker()), undefined)
  assert.deepEqual(readdirSync(scratch), [])
})

test('a watch that names nothing misses the first kind', async () => {
  assert.equal(await missedKind(scratch, { drain: () => new Map(), forget: () => {} }), 'a write in place')
})

const HIDDEN: readonly [string, RegExp][] = [
  ['file', /a write in place/],
  ['other', /the unlink of one of two names/],
  ['sub', /the unlink of one of two names/],
  ['new', /a new file/],
]
for (const [name, kind] of HIDDEN)
  test(`a watch that never names an inode called ${name} is found out`, async () => {
    const hides = (inode: number) =>
      readdirSync(scratch, { recursive: true, encoding: 'utf8' }).some(
        (path) => path.endsWith(`/${name}`) && lstatSync(join(scratch, path)).ino === inode,
      )
    assert.match((await missedKind(scratch, walker(hides))) ?? 'all seen', kind)
  })

test('each kind is asked for: a watch that misses any one of them is found out, by its name', async () => {
  const kinds = new Set<string>()
  for (let hidden = 0; hidden < 22; hidden++) {
    const hides = (inode: number) => {
      const [home = ''] = readdirSync(scratch)
      return ownInodes(join(scratch, home, String(hidden))).includes(inode)
    }
    kinds.add((await missedKind(scratch, walker(hides))) ?? `kind ${hidden} was not missed`)
  }
  assert.equal(kinds.size, 22, [...kinds].join())
  assert.ok(kinds.has('a store through a mapping'))
  assert.ok(![...kinds].some((kind) => /not missed/.test(kind)), [...kinds].join())
})

const ownInodes = (directory: string) =>
  ['.', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })].map((path) => lstatSync(join(directory, path)).ino) // prettier-ignore

test('what cannot be done is thrown, and leaves nothing behind', async () => {
  await assert.rejects(missedKind(join(scratch, 'none'), walker()), { code: 'ENOENT' })
  const cancelled = AbortSignal.abort()
  await assert.rejects(missedKind(scratch, walker(), cancelled), { code: 'cancelled' })
  assert.deepEqual(readdirSync(scratch), [])
})
