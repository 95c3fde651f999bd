import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { forEachStore } from '#lab/stores.ts'
import { openIdentities } from '#service/identities/identities.ts'
import { mayPush } from './permission.ts'

const INSTANCE = {
  instanceId: 'dsw-1',
  workspaceId: '1',
  userId: '7',
  accessibility: 'PUBLIC',
  status: 'Running',
  startedMs: 0,
  imageId: '',
  handle: undefined,
  mountPaths: [],
} as const
const SAVE = 'paidsw:CreateInstanceSnapshot'
const TEAM = { StringLike: { 'tintype:Repository': 'r.example.com/team/*' } }
const allow = (Resource: string, Condition?: object) => ({ Effect: 'Allow', Action: SAVE, Resource, ...(Condition && { Condition }) }) // prettier-ignore

const ROWS: readonly (readonly [string, readonly object[], string, boolean])[] = [
  ['without a policy', [], 'r.example.com/team/app', false],
  ['where the policy says', [allow('*', TEAM)], 'r.example.com/team/app', true],
  ['somewhere else', [allow('*', TEAM)], 'r.example.com/other/app', false],
  ['anywhere, without a condition', [allow('*')], 'r.example.com/other/app', true],
  ['this instance', [allow('acs:paidsw:*:*:workspace/1/dswinstance/dsw-1/snapshot/*')], 'r.example.com/a', true],
  ['another instance', [allow('acs:paidsw:*:*:workspace/1/dswinstance/dsw-2/snapshot/*')], 'r.example.com/a', false],
  ['what is denied, too', [allow('*'), { Effect: 'Deny', Action: SAVE, Resource: '*' }], 'r.example.com/a', false],
  [
    'until a day to come',
    [allow('*', { DateLessThan: { 'acs:CurrentTime': '2999-01-01T00:00:00Z' } })],
    'r.example.com/a',
    true,
  ],
  [
    'until a day gone by',
    [allow('*', { DateLessThan: { 'acs:CurrentTime': '2020-01-01T00:00:00Z' } })],
    'r.example.com/a',
    false,
  ],
  ['from one address only', [allow('*', { IpAddress: { 'acs:SourceIp': '10.0.0.0/8' } })], 'r.example.com/a', false],
]

forEachStore('what the owner of a schedule may still do', (open) => {
  for (const [reason, statements, repository, expected] of ROWS)
    test(`a user saves ${reason}: ${expected ? 'yes' : 'no'}`, async () => {
      const store = await open()
      const identities = await openIdentities({ store, home: store.home })
      const parts = { store, identities, region: 'local', clock: systemClock }
      const { userId } = await identities.users.create({ name: 'ann', displayName: '', comments: '', email: '', mobilePhone: '' }) // prettier-ignore
      if (statements.length > 0) {
        await identities.policies.create({ name: 'mine', document: JSON.stringify({ Version: '1', Statement: statements }) }) // prettier-ignore
        await identities.attachments.attach({ type: 'Custom', name: 'mine' }, { user: 'ann' })
      }
      assert.equal(await mayPush({ userId, instance: INSTANCE, repository }, parts), expected)
    })

  test('what is private is saved for its owner, for who sees all, and for nobody else', async () => {
    const store = await open()
    const identities = await openIdentities({ store, home: store.home })
    const parts = { store, identities, region: 'local', clock: systemClock }
    const { userId } = await identities.users.create({ name: 'ann', displayName: '', comments: '', email: '', mobilePhone: '' }) // prettier-ignore
    const grant = async (name: string, ...Statement: object[]) => {
      await identities.policies.create({ name, document: JSON.stringify({ Version: '1', Statement }) })
      await identities.attachments.attach({ type: 'Custom', name }, { user: 'ann' })
    }
    await grant('save', allow('*'))
    const question = {
      userId,
      instance: { ...INSTANCE, accessibility: 'PRIVATE' },
      repository: 'r.example.com/a',
    } as const
    assert.equal(await mayPush(question, parts), false)
    assert.equal(await mayPush({ ...question, instance: { ...question.instance, userId } }, parts), true)
    await grant('see', { Effect: 'Allow', Action: 'paidsw:ListAllInstances', Resource: '*' })
    assert.equal(await mayPush(question, parts), true)
  })

  test('the account always, and nobody who is gone', async () => {
    const store = await open()
    const identities = await openIdentities({ store, home: store.home })
    const parts = { store, identities, region: 'local', clock: systemClock }
    const question = { instance: INSTANCE, repository: 'r.example.com/a' }
    assert.equal(await mayPush({ ...question, userId: identities.accountId }, parts), true)
    assert.equal(await mayPush({ ...question, userId: '2999999999999999' }, parts), false)
  })
})
