import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachStore } from '#lab/stores.ts'
import type { AccessKeyRow, AttachmentRow, PolicyRow, RoleRow, UserRow } from '#store/schema-identities.ts'

const user = (userId: string, name: string): UserRow => ({
  userId,
  name,
  displayName: `The ${name}`,
  comments: '',
  email: '',
  mobilePhone: '',
  createdMs: 1_000,
  updatedMs: 1_000,
})
const key = (id: string, userId: string, createdMs = 1_000): AccessKeyRow => ({
  id,
  userId,
  secretEncrypted: 'sealed',
  status: 'Active',
  createdMs,
})
const policy = (name: string): PolicyRow => ({
  name,
  description: '',
  defaultVersion: 'v1',
  nextVersion: 2,
  createdMs: 1,
  updatedMs: 1,
})
const role = (roleId: string, name: string): RoleRow => ({
  roleId,
  name,
  description: '',
  trustPolicy: '{}',
  maxSessionS: 3600,
  createdMs: 1,
  updatedMs: 1,
})
const attachment = (policyName: string, principalId: string, more: Partial<AttachmentRow> = {}): AttachmentRow => ({
  policyName,
  policyType: 'Custom',
  principalKind: 'user',
  principalId,
  attachedMs: 1,
  ...more,
})

forEachStore('identities', (open) => {
  test('a user is found by name and by id, with all it was made of', async () => {
    const { users } = await open()
    assert.equal(await users.insert(user('1', 'ada')), true)
    assert.deepEqual(await users.findByName('ada'), user('1', 'ada'))
    assert.deepEqual(await users.find('1'), user('1', 'ada'))
    assert.equal(await users.findByName('Ada'), undefined)
    assert.deepEqual(await users.findAll(['1', '2']), [user('1', 'ada')])
    assert.deepEqual(await users.findAll([]), [])
  })

  test('two users do not have one name, neither by making nor by renaming', async () => {
    const { users } = await open()
    await users.insert(user('1', 'ada'))
    await users.insert(user('2', 'bob'))
    assert.equal(await users.insert(user('3', 'ada')), false)
    assert.equal(await users.update('2', { name: 'ada' }), false)
    assert.equal((await users.find('2'))?.name, 'bob')
    assert.equal(await users.update('2', { name: 'cy', updatedMs: 5 }), true)
    assert.deepEqual(await users.find('2'), { ...user('2', 'bob'), name: 'cy', updatedMs: 5 })
  })

  test('lists go by the bytes of names, from page to page', async () => {
    const { users } = await open()
    const names = ['B', 'a', 'A', 'b', 'a-b', 'a.b', 'Z', '_']
    for (const [index, name] of names.entries()) await users.insert(user(`${index}`, name))
    const pages: string[][] = []
    for (let after: string | undefined; ;) {
      const rows = await users.list({ after, limit: 3 })
      if (rows.length === 0) break
      pages.push(rows.map(({ name }) => name))
      after = rows.at(-1)?.name
    }
    assert.deepEqual(pages.flat(), names.toSorted())
    assert.deepEqual(
      pages.map(({ length }) => length),
      [3, 3, 2],
    )
    assert.equal(await users.count(), names.length)
  })

  test('a user that is removed is gone, once', async () => {
    const { users } = await open()
    await users.insert(user('1', 'ada'))
    assert.equal(await users.remove('1'), true)
    assert.equal(await users.remove('1'), false)
    assert.equal(await users.find('1'), undefined)
  })

  test('keys belong to their user: nobody else changes them', async () => {
    const { accessKeys } = await open()
    await accessKeys.insert(key('k2', '1', 2_000))
    await accessKeys.insert(key('k1', '1', 1_000))
    await accessKeys.insert(key('root', ''))
    assert.deepEqual(
      (await accessKeys.ofUser('1')).map(({ id }) => id),
      ['k1', 'k2'],
    )
    assert.deepEqual(
      (await accessKeys.ofUser('')).map(({ id }) => id),
      ['root'],
    )
    assert.equal(await accessKeys.setStatus({ id: 'k1', userId: '2', status: 'Inactive' }), false)
    assert.equal(await accessKeys.setStatus({ id: 'k1', userId: '1', status: 'Inactive' }), true)
    assert.equal((await accessKeys.find('k1'))?.status, 'Inactive')
    assert.equal(await accessKeys.remove({ id: 'k1', userId: '2' }), false)
    assert.equal(await accessKeys.remove({ id: 'k1', userId: '1' }), true)
    assert.equal(await accessKeys.find('k1'), undefined)
    await assert.rejects(accessKeys.insert(key('k2', '3')))
  })

  test('a policy goes with its versions', async () => {
    const { policies } = await open()
    assert.equal(await policies.insert(policy('p')), true)
    assert.equal(await policies.insert(policy('p')), false)
    await policies.insertVersion({ policyName: 'p', versionId: 'v1', document: '{"v":1}', createdMs: 1 })
    await policies.insertVersion({ policyName: 'p', versionId: 'v2', document: '{"v":2}', createdMs: 2 })
    assert.deepEqual(await policies.defaultDocuments(['p', 'none']), ['{"v":1}'])
    await policies.update('p', { defaultVersion: 'v2', updatedMs: 2 })
    assert.deepEqual(await policies.defaultDocuments(['p']), ['{"v":2}'])
    assert.deepEqual(await policies.defaultDocuments([]), [])
    assert.deepEqual(
      (await policies.versionsOf('p')).map(({ versionId }) => versionId),
      ['v1', 'v2'],
    )
    assert.equal(await policies.removeVersion('p', 'v1'), true)
    assert.equal(await policies.removeVersion('p', 'v1'), false)
    assert.equal(await policies.findVersion('p', 'v1'), undefined)
    assert.equal(await policies.remove('p'), true)
    assert.deepEqual(await policies.versionsOf('p'), [])
    assert.equal(await policies.count(), 0)
  })

  test('a version of no policy is refused by the database itself', async () => {
    const { policies } = await open()
    await assert.rejects(policies.insertVersion({ policyName: 'x', versionId: 'v1', document: '', createdMs: 1 }))
  })

  test('an attachment is made once, and found from both ends', async () => {
    const { attachments } = await open()
    assert.equal(await attachments.insert(attachment('p', '1')), true)
    assert.equal(await attachments.insert(attachment('p', '1')), false)
    await attachments.insert(attachment('p', '1', { principalKind: 'role' }))
    await attachments.insert(attachment('p', '1', { policyType: 'System' }))
    await attachments.insert(attachment('q', '1'))
    const ofUser = await attachments.ofPrincipal({ principalKind: 'user', principalId: '1' })
    assert.deepEqual(
      ofUser.map(({ policyType, policyName }) => `${policyType} ${policyName}`),
      ['Custom p', 'Custom q', 'System p'],
    )
    const ofPolicy = await attachments.ofPolicy({ policyType: 'Custom', policyName: 'p' })
    assert.deepEqual(ofPolicy.map(({ principalKind }) => principalKind).toSorted(), ['role', 'user'])
    assert.deepEqual(
      await attachments.countByPolicy('Custom', ['p', 'q', 'r']),
      new Map([
        ['p', 2],
        ['q', 1],
      ]),
    )
    assert.equal(await attachments.remove(attachment('q', '1')), true)
    assert.equal(await attachments.remove(attachment('q', '1')), false)
  })

  test('a role is found by name and id, and changed', async () => {
    const { roles } = await open()
    assert.equal(await roles.insert(role('1', 'r')), true)
    assert.equal(await roles.insert(role('2', 'r')), false)
    await roles.update('1', { trustPolicy: '{"a":1}', maxSessionS: 7200, updatedMs: 2 })
    const changed = { ...role('1', 'r'), trustPolicy: '{"a":1}', maxSessionS: 7200, updatedMs: 2 }
    assert.deepEqual([await roles.findByName('r'), await roles.find('1')], [changed, changed])
    assert.deepEqual(await roles.findAll(['1', '9']), [changed])
    assert.deepEqual(await roles.list({ limit: 10 }), [changed])
    assert.equal(await roles.count(), 1)
    assert.equal(await roles.remove('1'), true)
    assert.equal(await roles.remove('1'), false)
  })
})
