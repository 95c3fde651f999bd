import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Caller } from '#access/caller.ts'
import { evaluate } from '#access/evaluate.ts'
import { TestClock, forEachStore, type TestStore } from '#lab/stores.ts'
import { openIdentities, type Identities } from '#service/identities/identities.ts'
import { SAMPLE_POLICY_NAME } from '#service/identities/system-policies.ts'

const ACCOUNT = '1234567890123456'
const ROOT = { id: 'root-access-key', secret: 'root-secret' }
const POLICY = JSON.stringify({ Version: '1', Statement: [{ Effect: 'Allow', Action: 'paidsw:*', Resource: '*' }] })
const trust = (principal: string, condition?: object) =>
  JSON.stringify({
    Version: '1',
    Statement: [
      {
        Effect: 'Allow',
        Action: 'sts:AssumeRole',
        Principal: { RAM: [principal] },
        ...(condition && { Condition: condition }),
      },
    ],
  })
const wire = (wireCode: string) => (error: { readonly details: { readonly wireCode?: string } }) => {
  assert.equal(error.details.wireCode, wireCode)
  return true
}

const identitiesOf = (store: TestStore) =>
  openIdentities({ store, home: store.home, accountId: ACCOUNT, rootAccessKey: ROOT })
const rootCaller = async (identities: Identities): Promise<Caller> => (await identities.findKey(ROOT.id))!.caller

async function makeUser(identities: Identities, name: string): Promise<{ key: string; caller: Caller }> {
  await identities.users.create({ name })
  const { id } = await identities.accessKeys.create({ userName: name, caller: await rootCaller(identities) })
  return { key: id, caller: (await identities.findKey(id))!.caller }
}

const mayCreate = async (identities: Identities, caller: Caller, action = 'paidsw:CreateInstance') => {
  const policies = await identities.policiesOf(caller)
  return evaluate(policies, { action, resource: `acs:paidsw:local:${ACCOUNT}:*`, context: {} }).decision
}

forEachStore('users and keys', (open) => {
  test('a user is made, changed, listed and removed', async () => {
    const { users } = await identitiesOf(await open())
    const ada = await users.create({ name: 'ada', email: 'ada@example.com' })
    assert.match(ada.userId, /^2\d{17}$/)
    const changed = await users.update('ada', { name: 'lovelace', comments: 'first' })
    assert.deepEqual([changed.userId, changed.email, changed.comments], [ada.userId, 'ada@example.com', 'first'])
    await assert.rejects(users.get('ada'), wire('EntityNotExist.User'))
    await users.create({ name: 'bob' })
    const first = await users.list({ limit: 1 })
    assert.deepEqual([first.items.map(({ name }) => name), first.next], [['bob'], 'bob'])
    const second = await users.list({ limit: 1, after: first.next })
    assert.deepEqual([second.items.map(({ name }) => name), second.next], [['lovelace'], undefined])
    await users.remove('bob')
    await assert.rejects(users.remove('bob'), wire('EntityNotExist.User'))
  })

  test('a name is given once, also when it is changed', async () => {
    const { users } = await identitiesOf(await open())
    await users.create({ name: 'ada' })
    await users.create({ name: 'bob' })
    await assert.rejects(users.create({ name: 'ada' }), wire('EntityAlreadyExists.User'))
    await assert.rejects(users.update('bob', { name: 'ada' }), wire('EntityAlreadyExists.User'))
    assert.equal((await users.update('bob', { name: 'bob' })).name, 'bob')
    await assert.rejects(users.update('eve', { name: 'x' }), wire('EntityNotExist.User'))
  })

  test('of many that make one user at once, one does', async () => {
    const store = await open()
    const replicas = [await identitiesOf(store), await identitiesOf(await open({ sameAs: store }))]
    const ends = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => replicas[index % 2]!.users.create({ name: 'ada' })),
    )
    assert.equal(ends.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const end of ends) if (end.status === 'rejected') wire('EntityAlreadyExists.User')(end.reason)
  })

  test('a key shows its secret once, is sealed in the database, and there are two at most', async () => {
    const store = await open()
    const identities = await identitiesOf(store)
    await identities.users.create({ name: 'ada' })
    const owner = { userName: 'ada', caller: await rootCaller(identities) }
    const key = await identities.accessKeys.create(owner)
    assert.deepEqual(Object.keys((await identities.accessKeys.list(owner))[0]!).toSorted(), [
      'createdMs',
      'id',
      'status',
    ])
    const row = await store.accessKeys.find(key.id)
    assert.ok(!JSON.stringify(row).includes(key.secret))
    assert.equal((await identities.findKey(key.id))?.secret, key.secret)
    await identities.accessKeys.create(owner)
    await assert.rejects(identities.accessKeys.create(owner), wire('LimitExceeded.User.AccessKey'))
    await assert.rejects(identities.users.remove('ada'), wire('DeleteConflict.User.AccessKey'))
  })

  test('two that ask at once do not get a third key', async () => {
    const store = await open()
    const replicas = [await identitiesOf(store), await identitiesOf(await open({ sameAs: store }))]
    const { caller } = await makeUser(replicas[0]!, 'ada')
    const made = replicas.map((one) => one.accessKeys.create({ userName: 'ada', caller }))
    const ends = await Promise.allSettled([...made, ...made])
    assert.equal((await replicas[0]!.accessKeys.list({ userName: 'ada', caller })).length, 2)
    assert.ok(ends.some(({ status }) => status === 'rejected'))
  })

  test("without a name the keys are the caller's own; a role has none", async () => {
    const identities = await identitiesOf(await open())
    const { key, caller } = await makeUser(identities, 'ada')
    assert.deepEqual(
      (await identities.accessKeys.list({ caller })).map(({ id }) => id),
      [key],
    )
    assert.deepEqual(await identities.accessKeys.list({ caller: await rootCaller(identities) }), [])
    await assert.rejects(
      identities.accessKeys.list({ caller: { ...caller, kind: 'AssumedRoleUser' } }),
      wire('InvalidParameter.UserName'),
    )
    await assert.rejects(
      identities.accessKeys.setStatus({ caller: await rootCaller(identities) }, key, 'Inactive'),
      wire('EntityNotExist.User.AccessKey'),
    )
  })

  test('a change counts at once in this process, and after a second in another replica', async () => {
    const clock = new TestClock()
    const store = await open({ clock })
    const [here, there] = [await identitiesOf(store), await identitiesOf(await open({ sameAs: store, clock }))]
    const { key, caller } = await makeUser(here, 'ada')
    assert.equal((await there.findKey(key))?.isActive, true)
    await here.accessKeys.setStatus({ userName: 'ada', caller }, key, 'Inactive')
    assert.equal((await here.findKey(key))?.isActive, false)
    assert.equal((await there.findKey(key))?.isActive, true, 'still out of its memory')
    clock.pass(1_000)
    assert.equal((await there.findKey(key))?.isActive, false)
    await here.accessKeys.remove({ userName: 'ada', caller }, key)
    assert.equal(await here.findKey(key), undefined)
  })

  test('a caller is who the key belongs to', async () => {
    const identities = await identitiesOf(await open())
    const { caller } = await makeUser(identities, 'ada')
    const { userId } = await identities.users.get('ada')
    assert.deepEqual(
      [caller.kind, caller.id, caller.name, caller.arn, caller.displayName],
      ['RAMUser', userId, 'ada', `acs:ram::${ACCOUNT}:user/ada`, 'ada'],
    )
    const root = await rootCaller(identities)
    assert.deepEqual([root.kind, root.id, root.arn], ['Account', ACCOUNT, `acs:ram::${ACCOUNT}:root`])
    assert.equal(await identities.findKey('nobody'), undefined)
    await assert.rejects(identities.findKey(ROOT.id, 'token'), { code: 'security_token_mismatched' })
  })
})

forEachStore('policies', (open) => {
  test('a policy has versions, five at most, and the default one counts', async () => {
    const { policies } = await identitiesOf(await open())
    await policies.create({ name: 'p', document: POLICY })
    const version = { name: 'p', document: POLICY, isDefault: false, rotate: false }
    for (let number = 2; number <= 5; number++)
      assert.equal((await policies.createVersion(version)).versionId, `v${number}`)
    await assert.rejects(policies.createVersion(version), wire('LimitExceeded.Policy.Version'))
    const rotated = await policies.createVersion({ ...version, isDefault: true, rotate: true })
    assert.deepEqual([rotated.versionId, rotated.isDefault], ['v6', true])
    const versions = await policies.listVersions({ type: 'Custom', name: 'p' })
    assert.deepEqual(versions.map(({ versionId }) => versionId).toSorted(), ['v1', 'v3', 'v4', 'v5', 'v6'])
    await assert.rejects(policies.removeVersion('p', 'v6'), wire('DeleteConflict.Policy.Version.Default'))
    await assert.rejects(policies.removeVersion('p', 'v2'), wire('EntityNotExist.Policy.Version'))
    await policies.setDefaultVersion('p', 'v1')
    await policies.removeVersion('p', 'v6')
    assert.equal((await policies.get({ type: 'Custom', name: 'p' })).version.versionId, 'v1')
    await assert.rejects(policies.remove('p', { versionsToo: false }), wire('DeleteConflict.Policy.Version'))
    await policies.remove('p', { versionsToo: true })
    await assert.rejects(policies.get({ type: 'Custom', name: 'p' }), wire('EntityNotExist.Policy'))
  })

  test('what is no policy is refused before anything is written', async () => {
    const { policies } = await identitiesOf(await open())
    await assert.rejects(policies.create({ name: 'p', document: '{}' }), { code: 'policy_invalid' })
    await assert.rejects(policies.get({ type: 'Custom', name: 'p' }), wire('EntityNotExist.Policy'))
    await policies.create({ name: 'p', document: POLICY })
    const version = { name: 'p', document: 'x', isDefault: true, rotate: true }
    await assert.rejects(policies.createVersion(version), { code: 'policy_invalid' })
    await assert.rejects(policies.create({ name: 'p', document: POLICY }), wire('EntityAlreadyExists.Policy'))
  })

  test('policies of the system are read, and neither changed nor shadowed', async () => {
    const { policies } = await identitiesOf(await open())
    const { version } = await policies.get({ type: 'System', name: 'AdministratorAccess' })
    assert.equal(version.versionId, 'v1')
    await assert.rejects(
      policies.create({ name: 'AdministratorAccess', document: POLICY }),
      wire('EntityAlreadyExists.Policy'),
    )
    await assert.rejects(policies.remove('AdministratorAccess', { versionsToo: true }), wire('EntityNotExist.Policy'))
    await assert.rejects(policies.setDefaultVersion('AdministratorAccess', 'v1'), wire('EntityNotExist.Policy'))
    await assert.rejects(
      policies.getVersion({ type: 'System', name: 'AdministratorAccess' }, 'v2'),
      wire('EntityNotExist.Policy.Version'),
    )
  })

  test('a list goes through both types, page by page', async () => {
    const { policies } = await identitiesOf(await open())
    for (const name of ['b', 'a', 'c']) await policies.create({ name, document: POLICY })
    const seen: string[] = []
    for (let after: string | undefined; ;) {
      const page = await policies.list({ limit: 2, after })
      seen.push(...page.items.map(({ type, name }) => `${type}:${name}`))
      after = page.next
      if (after === undefined) break
    }
    assert.deepEqual(seen.slice(-4), [`Custom:${SAMPLE_POLICY_NAME}`, 'Custom:a', 'Custom:b', 'Custom:c'])
    assert.equal(new Set(seen).size, seen.length)
    assert.deepEqual(seen.slice(0, 2), ['System:AdministratorAccess', 'System:AliyunPAIFullAccess'])
    const custom = await policies.list({ limit: 10, type: 'Custom' })
    assert.equal(custom.items.length, 4)
  })

  test('what is attached counts at once, and what is detached does not any more', async () => {
    const identities = await identitiesOf(await open())
    const { attachments, policies, users } = identities
    const { caller, key } = await makeUser(identities, 'ada')
    const policy = { type: 'Custom', name: 'p' } as const
    await policies.create({ name: 'p', document: POLICY })
    assert.equal(await mayCreate(identities, caller), 'ImplicitDeny')
    await attachments.attach(policy, { user: 'ada' })
    assert.equal(await mayCreate(identities, caller), 'Allow')
    await assert.rejects(attachments.attach(policy, { user: 'ada' }), wire('EntityAlreadyExists.User.Policy'))
    await assert.rejects(policies.remove('p', { versionsToo: true }), wire('DeleteConflict.Policy.User'))
    await identities.accessKeys.remove({ userName: 'ada', caller }, key)
    await assert.rejects(users.remove('ada'), wire('DeleteConflict.User.Policy'))
    const holders = await attachments.ofPolicy(policy)
    assert.deepEqual(
      holders.users.map(({ name }) => name),
      ['ada'],
    )
    assert.equal((await policies.get(policy)).policy.attachmentCount, 1)
    await attachments.detach(policy, { user: 'ada' })
    await assert.rejects(attachments.detach(policy, { user: 'ada' }), wire('EntityNotExist.User.Policy'))
    assert.equal(await mayCreate(identities, caller), 'ImplicitDeny')
    await attachments.attach({ type: 'System', name: 'AliyunPAIFullAccess' }, { user: 'ada' })
    assert.equal(await mayCreate(identities, caller), 'Allow')
    assert.deepEqual(
      (await attachments.ofPrincipal({ user: 'ada' })).map(({ name, type }) => `${type} ${name}`),
      ['System AliyunPAIFullAccess'],
    )
    await assert.rejects(
      attachments.attach({ type: 'System', name: 'p' }, { user: 'ada' }),
      wire('EntityNotExist.Policy'),
    )
    await assert.rejects(attachments.attach(policy, { user: 'eve' }), wire('EntityNotExist.User'))
    await assert.rejects(attachments.attach(policy, { role: 'eve' }), wire('EntityNotExist.Role'))
  })

  test('twenty policies of one type may be attached, not more', async () => {
    const identities = await identitiesOf(await open())
    await identities.users.create({ name: 'ada' })
    for (let number = 0; number <= 20; number++) {
      await identities.policies.create({ name: `p${number}`, document: POLICY })
      const attached = identities.attachments.attach({ type: 'Custom', name: `p${number}` }, { user: 'ada' })
      if (number < 20) await attached
      else await assert.rejects(attached, wire('LimitExceeded.User.Policy'))
    }
  })

  test('the sample policy lets push to one repository only, and comes once', async () => {
    const store = await open()
    const options = { store, home: store.home, accountId: ACCOUNT, rootAccessKey: ROOT }
    const identities = await openIdentities({ ...options, defaultRepository: 'registry.example.com/lab' })
    const { caller } = await makeUser(identities, 'ada')
    await identities.attachments.attach({ type: 'Custom', name: SAMPLE_POLICY_NAME }, { user: 'ada' })
    const policies = await identities.policiesOf(caller)
    const ask = (action: string, repository?: string) =>
      evaluate(policies, {
        action,
        resource: `acs:paidsw:local:${ACCOUNT}:*`,
        context: repository === undefined ? {} : { 'tintype:Repository': [repository] },
      }).decision
    assert.equal(ask('paidsw:CreateInstanceSnapshot', 'registry.example.com/lab'), 'Allow')
    assert.equal(ask('paidsw:CreateInstanceSnapshot', 'registry.example.com/lab/ada'), 'Allow')
    assert.equal(ask('paidsw:CreateInstanceSnapshot', 'registry.example.com/laboratory'), 'ImplicitDeny')
    assert.equal(ask('paidsw:CreateInstanceSnapshot'), 'ImplicitDeny')
    assert.equal(ask('paidsw:CreateInstance'), 'Allow')
    assert.equal(ask('paidsw:GetInstanceSnapshot'), 'Allow')
    for (const action of ['ram:CreateUser', 'sts:AssumeRole', 'tintype:CreateRegistry', 'tintype:UpdateRegistry'])
      assert.equal(ask(action), 'ImplicitDeny')
    await identities.attachments.detach({ type: 'Custom', name: SAMPLE_POLICY_NAME }, { user: 'ada' })
    await identities.policies.remove(SAMPLE_POLICY_NAME, { versionsToo: true })
    const again = await openIdentities(options)
    await assert.rejects(
      again.policies.get({ type: 'Custom', name: SAMPLE_POLICY_NAME }),
      wire('EntityNotExist.Policy'),
    )
  })
})

forEachStore('roles and sessions', (open) => {
  const clock = new TestClock()
  const ROLE = `acs:ram::${ACCOUNT}:role/saver`
  const withRole = async (principal = `acs:ram::${ACCOUNT}:user/ada`, condition?: object) => {
    const store = await open({ clock })
    const identities = await identitiesOf(store)
    await identities.roles.create({ name: 'saver', trustPolicy: trust(principal, condition), maxSessionS: 7_200 })
    await identities.attachments.attach({ type: 'System', name: 'AliyunPAIFullAccess' }, { role: 'saver' })
    return { store, identities, ...(await makeUser(identities, 'ada')) }
  }
  const request = { roleArn: ROLE, sessionName: 'work', context: {} }

  test("temporary credentials carry the role's rights, in every replica, until they end", async () => {
    const { store, identities, caller } = await withRole()
    const credentials = await identities.assumeRole(caller, { ...request, durationS: 900 })
    const { roleId } = await identities.roles.get('saver')
    assert.match(credentials.accessKeyId, /^STS\.[A-Za-z0-9]{20}$/)
    assert.equal(credentials.assumedRoleId, `${roleId}:work`)
    assert.equal(credentials.arn, `${ROLE}/work`)
    assert.equal(credentials.expiresMs, clock.wallMs() + 900_000)
    const replica = await identitiesOf(await open({ sameAs: store, clock }))
    const found = await replica.findKey(credentials.accessKeyId, credentials.securityToken)
    assert.equal(found?.secret, credentials.accessKeySecret)
    assert.equal(found.caller.arn, `acs:ram::${ACCOUNT}:assumed-role/saver/work`)
    assert.equal(await mayCreate(replica, found.caller), 'Allow')
    assert.equal(await mayCreate(replica, found.caller, 'ram:CreateUser'), 'ImplicitDeny')
    clock.pass(900_000)
    await assert.rejects(replica.findKey(credentials.accessKeyId, credentials.securityToken), {
      code: 'security_token_expired',
    })
  })

  test("what the sessions of a role make is the role's, whichever made it", async () => {
    const { identities, caller } = await withRole()
    const { accessKeyId, securityToken } = await identities.assumeRole(caller, { ...request, sessionName: 'other' })
    const session = (await identities.findKey(accessKeyId, securityToken))!.caller
    const { roleId } = await identities.roles.get('saver')
    assert.deepEqual([session.id, session.ownerId], [`${roleId}:other`, roleId])
    assert.equal(caller.ownerId, caller.id)
  })

  test('a session policy only takes away', async () => {
    const { identities, caller } = await withRole()
    const policy = JSON.stringify({
      Version: '1',
      Statement: [{ Effect: 'Allow', Action: ['paidsw:Get*', 'ram:*'], Resource: '*' }],
    })
    const { accessKeyId, securityToken } = await identities.assumeRole(caller, { ...request, policy })
    const session = (await identities.findKey(accessKeyId, securityToken))!.caller
    assert.equal(await mayCreate(identities, session, 'paidsw:GetInstance'), 'Allow')
    assert.equal(await mayCreate(identities, session), 'ImplicitDeny')
    assert.equal(await mayCreate(identities, session, 'ram:CreateUser'), 'ImplicitDeny')
    await assert.rejects(identities.assumeRole(caller, { ...request, policy: '{}' }), { code: 'policy_invalid' })
    await assert.rejects(identities.policiesOf({ ...session }), { code: 'internal' }, 'a caller that was made up')
  })

  test('who is not trusted is denied, with what was asked for', async () => {
    const { identities } = await withRole()
    const { caller } = await makeUser(identities, 'eve')
    await assert.rejects(identities.assumeRole(caller, request), (error: never) => {
      const { code, details } = error as { code: string; details: Record<string, string> }
      assert.deepEqual(
        [code, details['AuthAction'], details['PolicyType'], details['NoPermissionType'], details['AuthResource']],
        ['not_permitted', 'sts:AssumeRole', 'AssumeRolePolicy', 'ImplicitDeny', ROLE],
      )
      return true
    })
  })

  const refusals = [
    ['a role that is not there', { roleArn: `acs:ram::${ACCOUNT}:role/none` }, 'EntityNotExist.Role'],
    ['a role of another account', { roleArn: 'acs:ram::9999:role/saver' }, 'EntityNotExist.Role'],
    ['a user instead of a role', { roleArn: `acs:ram::${ACCOUNT}:user/ada` }, 'EntityNotExist.Role'],
    ['longer than the role allows', { durationS: 7_201 }, 'InvalidParameter.DurationSeconds'],
  ] as const
  for (const [name, change, code] of refusals)
    test(`no credentials: ${name}`, async () => {
      const { identities, caller } = await withRole()
      await assert.rejects(identities.assumeRole(caller, { ...request, ...change }), wire(code))
    })

  test('a trust policy may ask for an external id', async () => {
    const condition = { StringEquals: { 'sts:ExternalId': ['s3cret'] } }
    const { identities, caller } = await withRole(`acs:ram::${ACCOUNT}:root`, condition)
    await assert.rejects(identities.assumeRole(caller, request), { code: 'not_permitted' })
    const context = { 'sts:ExternalId': ['s3cret'] }
    assert.ok(await identities.assumeRole(caller, { ...request, context }))
  })

  test('a token is of one key, of this installation, and unchanged', async () => {
    const { identities, caller } = await withRole()
    const [one, other] = [await identities.assumeRole(caller, request), await identities.assumeRole(caller, request)]
    const rows = [
      [one.accessKeyId, undefined, 'security_token_missing'],
      [one.accessKeyId, other.securityToken, 'security_token_mismatched'],
      [one.accessKeyId, '', 'security_token_malformed'],
      [one.accessKeyId, `${one.securityToken.slice(0, -2)}AA`, 'security_token_malformed'],
      [one.accessKeyId, 'v1.AAAA', 'security_token_malformed'],
    ] as const
    for (const [id, token, code] of rows) await assert.rejects(identities.findKey(id, token), { code })
    const elsewhere = await withRole()
    await assert.rejects(elsewhere.identities.findKey(one.accessKeyId, one.securityToken), {
      code: 'security_token_malformed',
    })
  })

  test('the sessions of a role end with it, and do not come back with its name', async () => {
    const { identities, caller } = await withRole()
    const { accessKeyId, securityToken } = await identities.assumeRole(caller, request)
    await assert.rejects(identities.roles.remove('saver'), wire('DeleteConflict.Role.Policy'))
    await identities.attachments.detach({ type: 'System', name: 'AliyunPAIFullAccess' }, { role: 'saver' })
    await identities.roles.remove('saver')
    const isOver = { code: 'security_token_expired' }
    await assert.rejects(identities.findKey(accessKeyId, securityToken), isOver)
    await identities.roles.create({ name: 'saver', trustPolicy: trust(`acs:ram::${ACCOUNT}:root`) })
    await assert.rejects(identities.findKey(accessKeyId, securityToken), isOver)
  })

  test('a role is changed; what is no trust policy is refused', async () => {
    const { identities } = await withRole()
    const { roles } = identities
    const changed = await roles.update('saver', { description: 'saves', maxSessionS: 3_600 })
    assert.deepEqual([changed.description, changed.maxSessionS], ['saves', 3_600])
    await assert.rejects(roles.update('saver', { trustPolicy: POLICY }), { code: 'policy_invalid' })
    await assert.rejects(roles.create({ name: 'x', trustPolicy: '{' }), { code: 'policy_invalid' })
    await assert.rejects(
      roles.create({ name: 'saver', trustPolicy: changed.trustPolicy }),
      wire('EntityAlreadyExists.Role'),
    )
    await assert.rejects(roles.update('none', {}), wire('EntityNotExist.Role'))
    assert.deepEqual(
      (await roles.list({ limit: 5 })).items.map(({ name }) => name),
      ['saver'],
    )
  })
})

forEachStore('the first start', (open) => {
  test("the account's key is made, written for its owner alone, and good after a restart", async () => {
    const store = await open()
    const first = await openIdentities({ store, home: store.home })
    const path = `${store.home}/credentials.json`
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const { accessKeyId, accessKeySecret } = JSON.parse(readFileSync(path, 'utf8'))
    assert.equal((await first.findKey(accessKeyId))?.secret, accessKeySecret)
    assert.match(first.accountId, /^\d{16}$/)
    const second = await openIdentities({ store: await open({ sameAs: store }), home: store.home })
    assert.equal(second.accountId, first.accountId)
    assert.equal((await second.findKey(accessKeyId))?.caller.kind, 'Account')
    assert.equal((await store.accessKeys.ofUser('')).length, 1)
  })

  test('replicas that start at once agree', async () => {
    const store = await open()
    const others = await Promise.all([1, 2, 3].map(() => open({ sameAs: store })))
    const opened = await Promise.all([store, ...others].map((one) => openIdentities({ store: one, home: store.home })))
    assert.equal(new Set(opened.map(({ accountId }) => accountId)).size, 1)
    assert.equal((await store.accessKeys.ofUser('')).length, 1)
  })

  test('with a key in the configuration none is made', async () => {
    const store = await open()
    await identitiesOf(store)
    assert.deepEqual(await store.accessKeys.ofUser(''), [])
  })

  test('another account id than that of the database is refused', async () => {
    const store = await open()
    await identitiesOf(store)
    const other = openIdentities({ store, home: store.home, accountId: '77', rootAccessKey: ROOT })
    await assert.rejects(other, { code: 'config_invalid', message: new RegExp(ACCOUNT) })
  })

  test('a damaged credentials file is refused, not overwritten', async () => {
    const store = await open()
    writeFileSync(`${store.home}/credentials.json`, '{"accessKeyId":')
    await assert.rejects(openIdentities({ store, home: store.home }), {
      code: 'config_invalid',
      message: /credentials/,
    })
    assert.equal(readFileSync(`${store.home}/credentials.json`, 'utf8'), '{"accessKeyId":')
  })
})
