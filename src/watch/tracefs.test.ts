import assert from 'node:assert/strict'
import { closeSync, openSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'
import type { Mount } from './device.ts'
import { openTracefs } from './tracefs.ts'

const mount = (mountPoint: string, isWritable = true): Mount => ({
  id: 1,
  device: '0:12',
  mountPoint,
  isWritable,
  type: 'tracefs',
})

const UNUSABLE: readonly [string, readonly Mount[]][] = [
  ['there is none', []],
  ['it is read-only', [mount('/sys/kernel/tracing', false)]],
  ['something else lies over it', [mount('/proc')]],
  ['it is out of sight', [mount('/none')]],
  ['the mount is another', [{ ...mount('/proc'), type: 'proc' }]],
]
for (const [why, mounts] of UNUSABLE)
  test(`a mount that no process sees is made when the machine's cannot be used: ${why}`, () => {
    let path: string
    {
      using tracefs = openTracefs(mounts)
      path = tracefs.path
      assert.match(path, /^\/proc\/self\/fd\/\d+$/)
      assert.equal(readlinkSync(path), '/')
      closeSync(openSync(`${path}/instances`, 'r'))
    }
    assert.throws(() => openSync(`${path}/instances`, 'r'), { code: /ENOENT|ENOTDIR/ })
  })

test('what the machine has mounted is taken, and left as it is', () => {
  using own = openTracefs([])
  {
    using tracefs = openTracefs([mount('/proc'), mount(own.path)])
    assert.equal(tracefs.path, own.path)
  }
  closeSync(openSync(`${own.path}/instances`, 'r'))
})
