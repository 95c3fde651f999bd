import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { parseIdMap, readProcessRoot } from './process-root.ts'

const MAPS: readonly (readonly [string, string, readonly (readonly [number, number, number])[]])[] = [
  ['no user namespace', '         0          0 4294967295\n', []],
  ['userns-remap', '         0     100000      65536\n', [[0, 100000, 65536]]],
  ['ranges', '0 1000 1\n1 100000 65536\n', [[0, 1000, 1], [1, 100000, 65536]]], // prettier-ignore
  ['a part of the ids, though the same', '0 0 65536\n', [[0, 0, 65536]]],
  ['no map yet', '', []],
]
for (const [reason, text, ranges] of MAPS)
  test(`id map: ${reason}`, () =>
    assert.deepEqual(
      parseIdMap(text),
      ranges.map(([inside, outside, count]) => ({ inside, outside, count })),
    ))

test('a process that is gone is gone', () =>
  assert.throws(() => readProcessRoot(2 ** 22 + 1), { code: 'container_gone' }))

test("a process on the host's own root is no container", () =>
  assert.throws(() => readProcessRoot(process.pid), { code: 'overlay_unsupported' }))

test('a root that a process has mounted for itself is not believed, whatever upperdir it names', async () => {
  // As a container with CAP_SYS_ADMIN can: an overlay with directories of its own, made its root.
  const script = `
    mount -t tmpfs none /tmp && cd /tmp && mkdir lower upper work merged && cp -a --parents /bin/busybox lower 2>/dev/null
    mkdir -p lower/proc lower/old
    mount -t overlay forged -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work /tmp/merged
    cd merged && mkdir -p old && pivot_root . old && umount -l /old 2>/dev/null; echo ready; read line`
  const child = spawn('unshare', ['--mount', '--propagation', 'private', 'bash', '-c', script], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  assert.throws(() => readProcessRoot(child.pid!), {
    code: 'overlay_unsupported',
    message: /not one that the engine has mounted/,
  })
  child.stdin.end('\n')
  await ended
})
