import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { extract, type Header } from 'tar-stream'
import { sleep } from '#base/abort.ts'
import { ReaderRun } from '../snapshot/reader-run.ts'
import { Tmpfs } from './tmpfs.ts'

/** security.md, attacks.md C10 and C13: what a container may make must not keep a capture from ending, or fail it. */
const LIMIT_MS = 120_000

interface Taken {
  readonly members: ReadonlyMap<string, Header>
  readonly skipped: ReadonlyMap<string, string>
  readonly unnamed: number
}

/** A live pass, a freeze and the report over a directory, in time. */
async function take(upperdir: string): Promise<Taken> {
  const started = performance.now()
  await using reader = await ReaderRun.open(upperdir)
  await reader.pass()
  const kept = await reader.keep()
  assert.ok(kept.isOneState)
  await reader.pack()
  const report = await reader.report()
  assert.ok(performance.now() - started < LIMIT_MS, 'in time')
  const members = new Map<string, Header>()
  for (const layer of reader.layers)
    for await (const entry of Readable.from([layer]).pipe(extract())) {
      members.set(entry.header.name, entry.header)
      entry.resume()
    }
  return {
    members,
    skipped: new Map(report.skipped.map(({ path, reason }) => [path, reason])),
    unnamed: report.unnamed,
  }
}

const python = (script: string, cwd: string) => execFileSync('python3', ['-c', script], { cwd })
const attributes = (header: Header | undefined) =>
  Object.keys(header?.pax ?? {}).filter((key) => key.startsWith('SCHILY.xattr.'))

test('attributes that no layer can hold are left out and named; the file is there, with the others', async () => {
  using disk = new Tmpfs()
  python(
    `import os
for name in ('equals', 'binary', 'many', 'names', 'plain'): open(name, 'w').write(name)
os.setxattr('equals', 'user.a=b', b'1'); os.setxattr('equals', 'user.good', b'1')
os.setxattr('binary', b'user.\\xff\\xfe', b'1'); os.setxattr('binary', 'user.gr\\u00fcn', b'1')
for i in range(40): os.setxattr('many', 'user.%d' % i, b'x' * 65536)
for i in range(400): os.setxattr('names', 'user.' + 'n' * 240 + str(i), b'')
os.setxattr('plain', 'user.good', b'1')
os.mkdir('directory')
for i in range(400): os.setxattr('directory', 'user.' + 'n' * 240 + str(i), b'')
open('directory/file', 'w').close()`,
    disk.path,
  )
  const { members, skipped } = await take(disk.path)
  assert.deepEqual([...skipped.keys()].sort(), ['binary', 'directory', 'equals', 'many', 'names'])
  assert.match(skipped.get('equals')!, /names a layer cannot hold/)
  assert.match(skipped.get('many')!, /more than a layer can hold/)
  assert.match(skipped.get('names')!, /more than a layer can hold/)
  assert.deepEqual(attributes(members.get('equals')), ['SCHILY.xattr.user.good'])
  assert.deepEqual(attributes(members.get('binary')), ['SCHILY.xattr.user.grün'])
  assert.deepEqual(attributes(members.get('plain')), ['SCHILY.xattr.user.good'])
  assert.ok(attributes(members.get('many')).length > 0)
  assert.ok(members.has('names') && members.has('directory/file'))
})

test('many files full of attributes do not fill the memory', async () => {
  using disk = new Tmpfs()
  python(
    `import os
for f in range(150):
    open(f'f{f:04}', 'w').close()
    for i in range(7): os.setxattr(f'f{f:04}', 'user.%d' % i, b'x' * 65536)`,
    disk.path,
  )
  const { members, skipped } = await take(disk.path)
  assert.equal(members.size, 151)
  assert.ok(skipped.size > 0 && skipped.size < 150, `${skipped.size} files lost attributes`)
})

test('a file of 10 TB without anything in it is left out and named, before a byte is read', async () => {
  using disk = new Tmpfs()
  execFileSync('truncate', ['--size', '10T', join(disk.path, 'huge')])
  execFileSync('truncate', ['--size', '10M', join(disk.path, 'sparse')])
  const { members, skipped } = await take(disk.path)
  assert.equal(skipped.get('huge'), 'its size is above 1 TiB')
  assert.ok(!members.has('huge'))
  assert.equal(members.get('sparse')?.size, 10 << 20)
})

test('a time that no tar can say is left out and named', async () => {
  using disk = new Tmpfs()
  python(`import os; open('late', 'w').close(); os.utime('late', ns=(0, (2**62) * 10**9))`, disk.path)
  const { members, skipped } = await take(disk.path)
  assert.equal(members.get('late')?.mtime?.getTime(), 0)
  assert.match(skipped.get('late')!, /^only its time/)
})

test('directories deeper than any path are left out at that depth and named', async () => {
  using disk = new Tmpfs()
  python(
    `import os
for i in range(3000):
    open('f', 'w').close(); os.mkdir('d'); os.chdir('d')`,
    disk.path,
  )
  const { members, skipped } = await take(disk.path)
  assert.equal(skipped.size, 1)
  assert.match([...skipped.values()][0]!, /longer than 4095 bytes/)
  assert.ok(members.size > 3000, `${members.size} members`)
  python(
    `import os
fds = []
for i in range(3000): os.chdir('d')
for i in range(3000): os.chdir('..'); os.unlink('d/f') if os.path.exists('d/f') else None; os.rmdir('d')`,
    disk.path,
  )
})

test('200 000 links to one file are one file', async () => {
  using disk = new Tmpfs()
  python(`import os; open('a', 'w').write('content')\nfor i in range(200000): os.link('a', 'l%06d' % i)`, disk.path)
  await using reader = await ReaderRun.open(disk.path)
  await reader.pass()
  assert.equal((await reader.keep()).files, 0)
  const [layer, ...more] = reader.layers
  const list = execFileSync('tar', ['-tvf', '-'], { input: layer!, maxBuffer: 1 << 28 }).toString()
  const links = list.match(/^h.* link to a$/gm)?.length
  assert.deepEqual([links, list.trimEnd().split('\n').length, more.length], [200_000, 200_002, 0])
})

test('so many things to leave out that they cannot all be named are counted', async () => {
  using disk = new Tmpfs()
  const name = '\\x01'.repeat(200)
  python(
    `import os; os.makedirs('${name}/${name}')\nfor i in range(20000): open('${name}/${name}/.wh.%d' % i, 'w').close()`,
    disk.path,
  )
  const { skipped, unnamed } = await take(disk.path)
  assert.equal(skipped.size + unnamed, 20_000)
  assert.ok(unnamed > 10_000)
})

test('a loop that touches all files makes each pass read them again, and the passes still end', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'jail-chmod-'))
  mkdirSync(join(directory, 'd'))
  for (let i = 0; i < 500; i++) writeFileSync(join(directory, `d/f${i}`), `file ${i}`)
  const loop = spawn('sh', ['-c', 'while :; do chmod 644 d/*; chmod 600 d/*; done'], {
    cwd: directory,
    stdio: 'ignore',
  })
  try {
    const started = performance.now()
    await using reader = await ReaderRun.open(directory)
    // On a busy machine the loop may have stood still meanwhile.
    const touchedAfter = async (sinceMs: number) => {
      while (lstatSync(join(directory, 'd/f0')).ctimeMs < sinceMs + 100) await sleep(5)
    }
    for (let pass = 0; pass < 3; pass++) {
      await touchedAfter(Date.now())
      assert.ok((await reader.pass()).files > 0)
    }
    // Nothing is frozen here: as if it had been now, what the loop does next has to be seen.
    const frozenMs = Date.now()
    await touchedAfter(frozenMs)
    const kept = await reader.keep({ frozenMicros: frozenMs * 1000 })
    assert.deepEqual([kept.isOneState, performance.now() - started < LIMIT_MS], [false, true])
  } finally {
    loop.kill('SIGKILL')
    await once(loop, 'close')
    rmSync(directory, { recursive: true })
  }
})

test('a directory of 200 000 names that gains one between any two passes', async () => {
  using disk = new Tmpfs()
  python(`import os; open('a', 'w').close()\nfor i in range(200000): os.link('a', 'l%06d' % i)`, disk.path)
  await using reader = await ReaderRun.open(disk.path)
  for (let pass = 1; pass <= 5; pass++) {
    await reader.pass()
    writeFileSync(join(disk.path, `new-${pass}`), '')
  }
  await reader.keep()
  await reader.pack()
  const last = execFileSync('tar', ['-tf', '-'], { input: reader.layers.at(-1)! }).toString()
  const names = last
    .trimEnd()
    .split('\n')
    .filter((name) => name !== 'new-4') // made at about the time of its pass: taken again
  assert.deepEqual(names, ['./', 'new-5'])
})
