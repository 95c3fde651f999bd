import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'tintype bin '))) // with blanks, as users have
after(() => rmSync(root, { recursive: true }))
let count = 0

/** A `node` that answers like the version, and else tells how it was called. */
function putNode(path: string, version: string): void {
  mkdirSync(dirname(path), { recursive: true })
  const script = `#!/bin/sh\n[ "$1" = --version ] && { echo ${version}; exit 0; }\necho "${version} $*"\n`
  writeFileSync(path, script, { mode: 0o755 })
}

/** An installed package below a `lib/node_modules`, as `npm install -g` leaves it. */
function putPackage() {
  const prefix = join(root, String(count++))
  const home = join(prefix, 'lib/node_modules/tintype')
  mkdirSync(join(home, 'bin'), { recursive: true })
  mkdirSync(join(home, 'dist'))
  copyFileSync('bin/tintype', join(home, 'bin/tintype'))
  writeFileSync(join(home, 'dist/tintype.mjs'), '')
  return { prefix, home }
}

function run(command: string, path = '/usr/bin:/bin', args: readonly string[] = ['snapshot', 'a b']) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env: { PATH: path } })
  return { status, stdout: stdout.trim(), stderr: stderr.trim() }
}

/** Directories with the tools of a system that has no Node, or another one. */
function putPath(version: string | undefined): string {
  const directory = join(root, String(count++))
  mkdirSync(directory)
  for (const tool of ['sh', 'dirname', 'readlink', 'find', 'head', 'echo'])
    symlinkSync(realpathSync(`/usr/bin/${tool}`), join(directory, tool))
  if (version !== undefined) putNode(join(directory, 'node'), version)
  return directory
}

test('the Node of the package goes before all others, and arguments arrive as they are', () => {
  const { home } = putPackage()
  putNode(join(home, 'node_modules/node/bin/node'), 'v26.10.0')
  const { stdout } = run(join(home, 'bin/tintype'), putPath('v30.0.0'))
  assert.match(stdout, /^v26\.10\.0 .*dist\/tintype\.mjs snapshot a b$/)
})

test('links are followed, as npm makes them and as users do', () => {
  const { prefix, home } = putPackage()
  putNode(join(home, 'node_modules/node/bin/node'), 'v26.10.0')
  mkdirSync(join(prefix, 'bin'))
  symlinkSync('../lib/node_modules/tintype/bin/tintype', join(prefix, 'bin/tintype'))
  symlinkSync(join(prefix, 'bin/tintype'), join(prefix, 'tt'))
  assert.ok(run(join(prefix, 'tt')).stdout.includes(join(home, 'dist/tintype.mjs')))
})

test('a hoisted Node is taken when it is new enough', () => {
  for (const [version, taken] of [
    ['v26.1.0', 'v26.1.0'],
    ['v18.0.0', 'v27.0.0'],
  ] as const) {
    const { prefix, home } = putPackage()
    putNode(join(prefix, 'lib/node_modules/node/bin/node'), version)
    assert.match(run(join(home, 'bin/tintype'), putPath('v27.0.0')).stdout, new RegExp(`^${taken} `))
  }
})

for (const [version, reason] of [
  ['v20.20.2', 'an old Node'],
  ['v25.9.9', 'a Node that is nearly new enough'],
  [undefined, 'no Node'],
] as const) {
  test(`${reason} gets one sentence`, () => {
    const { home } = putPackage()
    const { status, stderr, stdout } = run(join(home, 'bin/tintype'), putPath(version))
    assert.equal(status, 5)
    assert.match(
      stderr,
      version
        ? /^tintype: needs Node 26 or newer, and found \S.*\/node: install it, or .*\.$/
        : /and found none: install it/,
    )
    assert.equal(stdout, '')
  })
}

test('a package without its bundle gets one sentence', () => {
  const { home } = putPackage()
  rmSync(join(home, 'dist'), { recursive: true })
  const { status, stderr } = run(join(home, 'bin/tintype'), putPath('v26.0.0'))
  assert.equal(status, 1)
  assert.match(stderr, /dist\/tintype\.mjs is missing: install Tintype again\.$/)
})

test('a checkout is bundled again when a source is newer than the bundle, and only then', () => {
  const { home } = putPackage()
  mkdirSync(join(home, 'src/deep'), { recursive: true })
  mkdirSync(join(home, 'node_modules/esbuild'), { recursive: true })
  const source = join(home, 'src/deep/a file.ts')
  writeFileSync(source, '')
  utimesSync(source, 1000, 1000)
  const path = putPath('v26.0.0')
  const bundled = () => /scripts\/build\.ts/.test(run(join(home, 'bin/tintype'), path).stderr)
  assert.equal(bundled(), false)
  utimesSync(join(home, 'dist/tintype.mjs'), 500, 500)
  assert.equal(bundled(), true)
  rmSync(join(home, 'dist/tintype.mjs'))
  assert.equal(bundled(), true)
})

test('a checkout without its packages gets one sentence', () => {
  const { home } = putPackage()
  mkdirSync(join(home, 'src'))
  const { status, stderr } = run(join(home, 'bin/tintype'), putPath('v26.0.0'))
  assert.equal(status, 5)
  assert.match(stderr, /^tintype: the packages of this checkout are missing: run 'npm ci' in /)
})
