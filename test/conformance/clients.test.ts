import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { startServer, type TestServer } from '#lab/server.ts'
import { OfficialClient } from './client.ts'
import { CLIENTS, openClient } from './clients.ts'

const MINUTE_MS = 60_000
const disposals = new AsyncDisposableStack()
let server: TestServer
/** Lets one call a second through. */
let slow: TestServer

before(async () => {
  server = disposals.use(await startServer())
  slow = disposals.use(await startServer({ env: { TINTYPE_RATE_LIMIT: '1' } }))
})
after(() => disposals.disposeAsync())

/** What each of the official clients raises when it is refused, and how it comes to other rights. */
for (const name of CLIENTS)
  describe(`the official client of ${name}`, () => {
    const UserName = `ada-${name}`
    let account: OfficialClient
    let ada: OfficialClient

    before(async () => {
      const { send } = disposals.use(await openClient(name))
      account = new OfficialClient(name, server, send)
      await account.body('CreateUser', { query: { UserName } })
      const { AccessKey: key } = await account.body('CreateAccessKey', { query: { UserName } })
      ada = account.as({ id: key.AccessKeyId, secret: key.AccessKeySecret })
    })

    test('a key that nobody has: InvalidAccessKeyId.NotFound', async () => {
      const { code, status } = await account.as({ id: 'LTAInobody', secret: 'x' }).failure('ListInstances')
      assert.deepEqual([code, status], ['InvalidAccessKeyId.NotFound', 404])
    })

    test('a wrong secret: SignatureDoesNotMatch', async () => {
      const { code, status } = await account.as({ ...server.rootKey, secret: 'wrong' }).failure('ListInstances')
      assert.deepEqual([code, status], ['SignatureDoesNotMatch', 400])
    })

    for (const minutes of [-20, 20])
      test(`a clock that is ${minutes} minutes off: InvalidTimeStamp.Expired`, async () => {
        const date = new Date(Date.now() + minutes * MINUTE_MS).toISOString().replace(/\.\d+/, '')
        const { code, status } = await account.failure('ListInstances', { headers: { 'x-acs-date': date } })
        assert.deepEqual([code, status], ['InvalidTimeStamp.Expired', 400])
      })

    test('a nonce for the second time: SignatureNonceUsed', async () => {
      const call = { params: { ImageId: 'image-none' }, headers: { 'x-acs-signature-nonce': `once-by-${name}` } }
      const first = await account.failure('RemoveImage', call)
      assert.equal(first.status, 404, JSON.stringify(first))
      const { code, status } = await account.failure('RemoveImage', call)
      assert.deepEqual([code, status], ['SignatureNonceUsed', 400])
    })

    test('what no policy allows: NoPermission, and who lacks which right', async () => {
      const { code, status, denied } = await ada.failure('CreateInstance', { body: { InstanceName: 'a' } })
      assert.deepEqual([code, status], ['NoPermission', 403])
      assert.equal(denied?.['AuthAction'], 'paidsw:CreateInstance')
      assert.deepEqual([denied['NoPermissionType'], denied['AuthPrincipalType']], ['ImplicitDeny', 'SubUser'])
      assert.ok(denied['EncodedDiagnosticMessage'])
    })

    test('bad parameters: ValidationError, and a sentence that names the field', async () => {
      const body = { SnapshotName: 'UPPER', ImageUrl: '127.0.0.1:1/a' }
      const asked = await account.failure('CreateInstanceSnapshot', { params: { InstanceId: 'dsw-none' }, body })
      assert.deepEqual([asked.code, asked.status], ['ValidationError', 400])
      assert.match(asked.message, /SnapshotName/)
    })

    test('an instance that nobody has: 404', async () => {
      const asked = await account.failure('GetInstance', { params: { InstanceId: 'dsw-none' } })
      assert.deepEqual([asked.code, asked.status], ['ValidationError', 404])
    })

    test('a role gives its rights for a while: AssumeRole', async () => {
      const { AccountId: accountId } = await account.body('GetCallerIdentity')
      const principal = { RAM: [`acs:ram::${accountId}:user/${UserName}`] }
      const trust = { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: principal }
      const document = JSON.stringify({ Version: '1', Statement: [trust] })
      const role = { RoleName: UserName, AssumeRolePolicyDocument: document }
      const { Role: made } = await account.body('CreateRole', { query: role })
      const ofSystem = { PolicyType: 'System' }
      const toRole = { ...ofSystem, PolicyName: 'AdministratorAccess', RoleName: UserName }
      await account.body('AttachPolicyToRole', { query: toRole })
      const toAda = { ...ofSystem, PolicyName: 'AliyunSTSAssumeRoleAccess', UserName }
      await account.body('AttachPolicyToUser', { query: toAda })
      assert.equal((await ada.failure('ListInstances', { query: { WorkspaceId: 'ALL' } })).code, 'NoPermission')
      const query = { RoleArn: made.Arn, RoleSessionName: 'work' }
      const { Credentials: given } = await ada.body('AssumeRole', { query })
      const key = { id: given.AccessKeyId, secret: given.AccessKeySecret, token: given.SecurityToken }
      assert.equal((await account.as(key).body('ListInstances')).TotalCount, 0)
      const broken = await account.as({ ...key, token: 'x' }).failure('ListInstances')
      assert.equal(broken.code, 'InvalidSecurityToken.Malformed')
    })

    test('too many calls: a throttling error that says how long to wait', async () => {
      const client = account.at(slow)
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => client.outcome('ListInstances')))
      const error = outcomes.find((outcome) => outcome.error)?.error
      assert.deepEqual([error?.code, error?.status], ['Throttling.User', 429])
      if (name === 'Go') return // its core keeps its ThrottlingError to itself, and hands out what every error is
      assert.match(error?.kind ?? '', /^Throttling(?:Error|Exception)$/)
      assert.ok(error?.retryAfter && error.retryAfter <= 1000, `${error?.retryAfter}`)
    })
  })
