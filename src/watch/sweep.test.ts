import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { recordWatch } from './record.ts'
import { sweepWatches } from './sweep.ts'

const home = mkdtempSync(join(tmpdir(), 'sweep-'))
after(() => rmSync(home, { recursive: true }))

/** A directory that looks like tracefs as far as a sweep goes, and one of records. */
function world(name: string) {
  const path = join(home, name)
  const [records, instances] = [join(path, 'records'), join(path, 'instances')]
  mkdirSync(instances, { recursive: true })
  let closed = 0
  return {
    records,
    instances,
    open: () => ({ path, [Symbol.dispose]: () => void closed++ }),
    closed: () => closed,
    /** A watch whose owner is gone. */
    leave(): string {
      const record = recordWatch(records)
      mkdirSync(join(instances, record.instance))
      record.release()
      return record.instance
    },
  }
}

test('what was left is removed, and what lives stays', async () => {
  const { records, instances, open, closed, leave } = world('left')
  const left = [leave(), leave()].sort()
  const living = recordWatch(records)
  mkdirSync(join(instances, living.instance))
  mkdirSync(join(instances, 'of-somebody-else'))
  assert.deepEqual([...(await sweepWatches(records, open))].sort(), left)
  assert.deepEqual(readdirSync(instances).sort(), ['of-somebody-else', living.instance])
  assert.deepEqual(readdirSync(records), [`watch-${living.instance}`])
  assert.equal(closed(), 2)
  living.remove()
})

test('a watch that died before its instance was made leaves a record alone', async () => {
  const { records, open } = world('early')
  recordWatch(records).release()
  assert.deepEqual(await sweepWatches(records, open), [])
  assert.deepEqual(readdirSync(records), [])
})

test('an instance that cannot be removed stays on record, the others go, and the next sweep tries again', async () => {
  const { records, instances, open, leave } = world('busy')
  const [busy, free] = [leave(), leave()]
  writeFileSync(join(instances, busy, 'in-use'), '') // a directory that is not empty: as one that is being read
  assert.deepEqual(await sweepWatches(records, open), [free])
  assert.deepEqual(readdirSync(records), [`watch-${busy}`])
  rmSync(join(instances, busy, 'in-use'))
  assert.deepEqual(await sweepWatches(records, open), [busy])
  assert.deepEqual(readdirSync(records), [])
})

test('without tracefs everything stays on record, and nothing is thrown', async () => {
  const { records, leave } = world('without')
  const left = leave()
  const open = () => {
    throw Object.assign(new Error('EPERM'), { code: 'EPERM' })
  }
  assert.deepEqual(await sweepWatches(records, open), [])
  assert.deepEqual(readdirSync(records), [`watch-${left}`])
})

test('tracefs is not touched when nothing was left', async () => {
  const { records, open, closed } = world('nothing')
  assert.deepEqual(await sweepWatches(records, open), [])
  assert.equal(closed(), 0)
})

test('records that cannot be read are not swept, and nothing is thrown', async () => {
  const path = join(home, 'a-file')
  writeFileSync(path, '')
  assert.deepEqual(await sweepWatches(path), [])
})
