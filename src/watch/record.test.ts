import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { deadRecords, recordWatch } from './record.ts'

const home = mkdtempSync(join(tmpdir(), 'record-'))
after(() => rmSync(home, { recursive: true }))

const dead = (directory: string) => {
  const records = [...deadRecords(directory)]
  for (const record of records) record.release()
  return records.map((record) => record.instance)
}

test('a record is there as long as its watch, in a directory for its owner alone', () => {
  const directory = join(home, 'made/here')
  const record = recordWatch(directory)
  assert.match(record.instance, new RegExp(`^tintype-${process.pid}-[0-9a-f]{12}$`))
  assert.deepEqual(readdirSync(directory), [`watch-${record.instance}`])
  assert.deepEqual(
    [statSync(directory).mode & 0o777, statSync(join(directory, `watch-${record.instance}`)).mode & 0o777],
    [0o700, 0o600],
  )
  assert.deepEqual(dead(directory), [], 'its owner lives')
  record.remove()
  assert.deepEqual(readdirSync(directory), [])
})

test('two watches of one process have two records', () => {
  const records = [recordWatch(home), recordWatch(home)]
  assert.notEqual(records[0]!.instance, records[1]!.instance)
  for (const record of records) record.remove()
})

test('a record that is released is dead, though its process lives', () => {
  const record = recordWatch(home)
  record.release()
  assert.deepEqual(dead(home), [record.instance])
  for (const each of deadRecords(home)) each.remove()
  assert.deepEqual(dead(home), [])
})

test('one sweep at a time has a record', () => {
  const record = recordWatch(home)
  record.release()
  for (const each of deadRecords(home)) {
    assert.deepEqual(dead(home), [], 'the other sweep holds it')
    each.remove()
  }
})

test('a program that the owner has started does not hold the lock after it', async () => {
  const record = recordWatch(home)
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'inherit'] })
  await once(child, 'spawn')
  record.release()
  assert.deepEqual(dead(home), [record.instance])
  child.stdin.end()
  await once(child, 'exit')
  for (const each of deadRecords(home)) each.remove()
})

test('names that no watch gave itself are left alone', () => {
  const directory = mkdtempSync(join(home, 'names-'))
  const names = ['freeze-0123.json', 'watch-', 'watch-..', 'watch-tintype-1-zz', 'watch-tintype-1-0123456789abc', 'x']
  for (const name of names) writeFileSync(join(directory, name), '')
  assert.deepEqual(dead(directory), [])
  assert.deepEqual(readdirSync(directory).sort(), names.sort())
})

test('a symlink with the name of a record is not followed', () => {
  const path = join(home, 'watch-tintype-1-0123456789ab')
  execFileSync('ln', ['-s', '/etc/hostname', path])
  assert.throws(() => dead(home), { code: 'ELOOP' })
  rmSync(path)
})

test('no directory, no record', () => assert.deepEqual(dead(join(home, 'none')), []))
