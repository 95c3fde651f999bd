import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { deviceFilter, deviceOf, parseMountId, parseMounts, readMounts } from './device.ts'

const MOUNTINFO = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
41 27 0:38 / /srv/with\\040blank\\134 ro,relatime shared:7 master:3 - tracefs tracefs rw
88 27 0:52 /@home /home rw,relatime shared:1 - btrfs /dev/sdb1 rw,subvol=/@home

broken
`

test('mounts are parsed, also with optional fields, escapes and what is no mount', () => {
  assert.deepEqual(parseMounts(MOUNTINFO), [
    { id: 27, device: '254:0', mountPoint: '/', isWritable: true, type: 'ext4' },
    { id: 41, device: '0:38', mountPoint: '/srv/with blank\\', isWritable: false, type: 'tracefs' },
    { id: 88, device: '0:52', mountPoint: '/home', isWritable: true, type: 'btrfs' },
  ])
})

const IDS: readonly [string, string, number][] = [
  ['a kernel of today', 'pos:\t0\nflags:\t02200000\nmnt_id:\t27\nino:\t5\n', 27],
  ['no mount', 'pos:\t0\n', NaN],
  ['another field that ends so', 'xmnt_id:\t27\n', NaN],
]
for (const [why, text, id] of IDS) test(`the mount of a descriptor: ${why}`, () => assert.equal(parseMountId(text), id))

test('filters: the kernel has 12 bits of major and 20 of minor', () => {
  assert.equal(deviceFilter('254:0'), 'dev == 266338304')
  assert.equal(deviceFilter('0:52'), 'dev == 52')
  assert.equal(deviceFilter('4095:1048575'), 'dev == 4294967295')
})

test('no two devices have the same filter', () => {
  const part = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 })
  fc.assert(
    fc.property(part(12), part(20), (major, minor) => {
      const packed = Number(deviceFilter(`${major}:${minor}`).replace('dev == ', ''))
      assert.deepEqual([Math.floor(packed / 2 ** 20), packed % 2 ** 20], [major, minor])
    }),
  )
})

const directory = mkdtempSync(join(tmpdir(), 'device-'))
after(() => rmSync(directory, { recursive: true }))

test('the device of a directory is that of its mount', () => {
  const device = deviceOf(directory)
  assert.ok(readMounts().some((mount) => mount.device === device))
  assert.equal(deviceOf('/proc'), readMounts().find((mount) => mount.mountPoint === '/proc')?.device)
  assert.notEqual(deviceOf('/proc'), device)
})

test('on a file system with one device, stat says the same', () => {
  const { dev } = statSync('/proc', { bigint: true })
  assert.equal(deviceOf('/proc'), `0:${Number(dev & 0xffn) | (Number(dev >> 20n) << 8)}`)
})

test('a mount that is not in sight has no device, and what is no directory is said', () => {
  assert.equal(deviceOf(directory, []), undefined)
  assert.throws(() => deviceOf(join(directory, 'none')), { code: 'ENOENT' })
  assert.throws(() => deviceOf('/proc/version'), { code: 'ENOTDIR' })
})
