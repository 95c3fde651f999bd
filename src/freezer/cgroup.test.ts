import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { freezerHierarchies, startCountingGroup } from '#lab/counting-group.ts'
import { findFreezerCgroup, freezeCgroup, freezerFiles, readCgroupState, thawCgroup } from './cgroup.ts'

for (const hierarchy of freezerHierarchies()) {
  test(`${hierarchy.name}: a frozen group stands still, a thawed one goes on`, async () => {
    await using group = await startCountingGroup(hierarchy)
    assert.equal(readCgroupState(group.file), 'thawed')
    await freezeCgroup(group.file)
    assert.equal(readCgroupState(group.file), 'frozen')
    assert.equal(await group.isCounting(), false)
    await thawCgroup(group.file)
    assert.equal(readCgroupState(group.file), 'thawed')
    assert.equal(await group.isCounting(5000), true)
  })

  test(`${hierarchy.name}: freezing twice and thawing twice is as good as once`, async () => {
    await using group = await startCountingGroup(hierarchy)
    await freezeCgroup(group.file)
    await freezeCgroup(group.file)
    await thawCgroup(group.file)
    await thawCgroup(group.file)
    assert.equal(readCgroupState(group.file), 'thawed')
  })

  test(`${hierarchy.name}: a group inside a frozen one is frozen, and cannot be thawed by itself`, async () => {
    await using group = await startCountingGroup(hierarchy)
    const inner = join(group.directory, 'inner')
    mkdirSync(inner)
    const file = group.file.replace(group.directory, inner)
    await freezeCgroup(group.file)
    assert.equal(readCgroupState(file), 'frozen')
    await assert.rejects(thawCgroup(file), { code: 'freeze_failed', message: /one above/ })
    await thawCgroup(group.file)
    assert.equal(readCgroupState(file), 'thawed')
  })
}

test('a group that is gone is gone: not frozen, nothing to thaw, an error to freeze', async () => {
  for (const { mountPoint, name } of freezerHierarchies()) {
    const file = join(mountPoint, 'tintype-never-was', name === 'v1' ? 'freezer.state' : 'cgroup.freeze')
    assert.equal(readCgroupState(file), 'gone')
    await thawCgroup(file)
    await assert.rejects(freezeCgroup(file), { code: 'container_gone' })
  }
})

/** A v2 group of plain files, whose processes never stop: as one with a task in uninterruptible sleep. */
function stubbornGroup(): { readonly file: string; readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-stubborn-'))
  writeFileSync(join(directory, 'cgroup.freeze'), '0')
  writeFileSync(join(directory, 'cgroup.events'), 'populated 1\nfrozen 0\n')
  return { directory, file: join(directory, 'cgroup.freeze') }
}

test('a group that does not freeze is given up after a second, and thawed', async () => {
  const { directory, file } = stubbornGroup()
  const start = performance.now()
  await assert.rejects(freezeCgroup(file), { code: 'freeze_failed', message: /within a second/ })
  const tookMs = performance.now() - start
  assert.ok(tookMs > 900 && tookMs < 30_000, `${tookMs} ms`)
  assert.equal(readFileSync(file, 'utf8'), '0')
  rmSync(directory, { recursive: true })
})

test('a cancelled freeze is thawed', async () => {
  const { directory, file } = stubbornGroup()
  const cancel = new AbortController()
  const freezing = freezeCgroup(file, cancel.signal)
  assert.equal(readFileSync(file, 'utf8'), '1')
  cancel.abort() // not by the clock: the freeze is given up by it, too
  await assert.rejects(freezing, { code: 'cancelled' })
  assert.equal(readFileSync(file, 'utf8'), '0')
  rmSync(directory, { recursive: true })
})

test('a freezer that cannot be written names the remedy', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-dir-'))
  mkdirSync(join(directory, 'freezer.state'))
  await assert.rejects(freezeCgroup(join(directory, 'freezer.state')), {
    code: 'freeze_failed',
    message: /run as root/,
  })
  rmSync(directory, { recursive: true })
})

test("the freezer of a process is found in the kernel's own words", async () => {
  for (const hierarchy of freezerHierarchies()) {
    await using group = await startCountingGroup(hierarchy)
    const found = findFreezerCgroup(group.init.pid)
    // On a hybrid machine v1's file wins, and there a process of a v2 group is in the root, which has none.
    assert.equal(found, group.file)
  }
  assert.equal(findFreezerCgroup(2 ** 22 + 1), undefined)
})

test('a process that moved below the group of its container is frozen with the whole container', async () => {
  await using group = await startCountingGroup()
  const inner = join(group.directory, 'init.scope')
  mkdirSync(inner)
  writeFileSync(join(inner, 'cgroup.procs'), String(group.init.pid))
  const name = group.directory.split('/').at(-1)!
  assert.equal(findFreezerCgroup(group.init.pid, name), group.file)
})

const V1 = '30 25 0:26 / /sys/fs/cgroup/freezer rw,relatime shared:9 - cgroup cgroup rw,freezer'
const V2 = '36 25 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw'
const ID = '0123456789abcdef'.repeat(4)
const CASES: readonly (readonly [string, string, string, string | undefined, readonly string[]])[] = [
  ['v1', `6:freezer:/docker/${ID}\n`, V1, undefined, [`/sys/fs/cgroup/freezer/docker/${ID}/freezer.state`]],
  ['v2', `0::/docker/${ID}\n`, V2, undefined, [`/sys/fs/cgroup/unified/docker/${ID}/cgroup.freeze`]],
  [
    'a hybrid machine: v1 first',
    `6:freezer:/a\n0::/b\n`,
    `${V2}\n${V1}`,
    undefined,
    ['/sys/fs/cgroup/freezer/a/freezer.state', '/sys/fs/cgroup/unified/b/cgroup.freeze'],
  ],
  [
    'controllers mounted together',
    '6:cpu,freezer:/a\n',
    V1.replace('rw,freezer', 'rw,cpu,freezer'),
    undefined,
    ['/sys/fs/cgroup/freezer/a/freezer.state'],
  ],
  ['another controller is not the freezer', '6:memory:/a\n', V1, undefined, []],
  [
    'systemd as the init of a container',
    `0::/system.slice/docker-${ID}.scope/init.scope\n`,
    V2,
    ID,
    [`/sys/fs/cgroup/unified/system.slice/docker-${ID}.scope/cgroup.freeze`],
  ],
  ['an id that is not in the path changes nothing', '0::/a/b\n', V2, ID, ['/sys/fs/cgroup/unified/a/b/cgroup.freeze']],
  [
    'a mount of a part of the hierarchy',
    '6:freezer:/kubepods/pod1/c1\n',
    V1.replace(' / /', ' /kubepods /'),
    undefined,
    ['/sys/fs/cgroup/freezer/pod1/c1/freezer.state'],
  ],
  [
    'a part in which the process is not',
    '6:freezer:/kubepods-x/c1\n',
    V1.replace(' / /', ' /kubepods /'),
    undefined,
    [],
  ],
  [
    "the host's tree, seen from a cgroup namespace",
    '6:freezer:/../../kubepods/c1\n',
    V1.replace(' / /sys', ' /../.. /host/sys'),
    undefined,
    ['/host/sys/fs/cgroup/freezer/kubepods/c1/freezer.state'],
  ],
  ['out of reach in a cgroup namespace', '6:freezer:/../other\n', V1, undefined, []],
  ['a colon in a name', '0::/a:b\n', V2, undefined, ['/sys/fs/cgroup/unified/a:b/cgroup.freeze']],
  ['nothing mounted', '0::/a\n', '1 0 8:1 / / rw - ext4 /dev/sda1 rw', undefined, []],
]
for (const [reason, cgroups, mountinfo, id, files] of CASES)
  test(`where the freezer is: ${reason}`, () => assert.deepEqual(freezerFiles(cgroups, mountinfo, id), files))
