import assert from 'node:assert/strict'
import { test } from 'node:test'
import { waysOut } from './cgroup-mounts.ts'

const FREEZER = '30 25 0:26 / /sys/fs/cgroup/freezer rw shared:9 - cgroup cgroup rw,freezer'
const DEVICES = '31 25 0:27 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices'
const MEMORY = '32 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory'
const SYSTEMD = '33 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd'
const V2 = '36 25 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw'
const HYBRID = [FREEZER, DEVICES, MEMORY, SYSTEMD].join('\n')

const CASES: readonly (readonly [string, string, string, readonly string[]])[] = [
  ['v2', '0::/docker/a\n', V2, ['/sys/fs/cgroup/cgroup.procs']],
  [
    'v1: where groups are frozen or killed, not where memory is counted',
    '4:name=systemd:/a\n3:memory:/a\n2:devices:/a\n1:freezer:/a\n',
    HYBRID,
    [
      '/sys/fs/cgroup/systemd/cgroup.procs',
      '/sys/fs/cgroup/devices/cgroup.procs',
      '/sys/fs/cgroup/freezer/cgroup.procs',
    ],
  ],
  ['at the top already', '2:devices:/\n1:freezer:/\n0::/\n', `${HYBRID}\n${V2}`, []],
  ["a cgroup namespace's own part only", '1:freezer:/a\n', FREEZER.replace(' / /', ' /a /'), []],
  ['not mounted', '1:freezer:/a\n0::/a\n', MEMORY, []],
  ['a text that is no list of cgroups', 'garbage\n', V2, []],
]
for (const [reason, cgroups, mountinfo, files] of CASES)
  test(`ways out: ${reason}`, () => assert.deepEqual(waysOut(cgroups, mountinfo), files))
