import assert from 'node:assert/strict'
import { test, before } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { runProgram } from '#base/process.ts'
import { openLog } from '#http/log.ts'
import { openMetrics } from '#http/metrics.ts'
import { openApi } from '#http/open-api.ts'
import { ramRoutes } from '#http/ram/ram.ts'
import { stsRoutes } from '#http/ram/sts.ts'
import { pythonPackages } from '#lab/python.ts'
import { forEachStore } from '#lab/stores.ts'
import { openIdentities } from '#service/identities/identities.ts'

const SDKS = ['alibabacloud_ram20150501==1.3.0', 'alibabacloud_sts20150401==1.2.0']
const ACCOUNT = '1234567890123456'
const ROOT = { id: 'root-access-key', secret: 'root-secret-of-tests' }
const LIMIT_MS = 400_000

type Step = Readonly<Record<'body' | 'code' | 'status' | 'denied' | 'text', never>>

forEachStore('RAM and STS, managed by their official SDKs', (open) => {
  let steps: ReadonlyMap<string, Step>

  before(async () => {
    const PYTHONPATH = await pythonPackages(SDKS)
    const store = await open()
    const options = { store, home: store.home, accountId: ACCOUNT, rootAccessKey: ROOT }
    const identities = await openIdentities(options)
    await using api = await openApi({
      config: { listen: { host: '127.0.0.1', port: 0 }, region: 'local', rateLimit: 0, legacySignatures: false },
      routes: [...ramRoutes(identities), ...stsRoutes(identities)],
      store,
      identities,
      ready: () => store.ping(),
      metrics: openMetrics(),
      log: openLog({ write: () => {} }),
      clock: systemClock,
      version: '0',
    })
    const args = ['test/conformance/ram_sts.py', new URL(api.url).host, ROOT.id, ROOT.secret, ACCOUNT]
    const env = { PATH: process.env['PATH'], PYTHONPATH, PYTHONDONTWRITEBYTECODE: '1' }
    const ran = await runProgram('python3', args, { env, timeoutMs: LIMIT_MS })
    assert.equal(ran.exitCode, 0, `${ran.stderr}${ran.stdout}`)
    const lines = ran.stdout.toString().trim().split('\n')
    steps = new Map(lines.map((line) => JSON.parse(line)).map((one) => [one.step, one]))
  })

  const bodyOf = (name: string): Record<string, never> => {
    const step = steps.get(name)
    assert.ok(step?.body, `${name}: ${JSON.stringify(step)}`)
    return step.body
  }

  const failures = [
    ['create user again', 'EntityAlreadyExists.User', 409],
    ['create user badly', 'InvalidParameter', 400],
    ['get nobody', 'EntityNotExist.User', 404],
    ['list badly', 'InvalidParameter.Marker', 400],
    ['create third key', 'LimitExceeded.User.AccessKey', 409],
    ['ada lists without a right', 'NoPermission', 403],
    ['ada makes a user', 'NoPermission', 403],
    ['create no policy', 'MalformedPolicyDocument', 400],
    ['attach again', 'EntityAlreadyExists.User.Policy', 409],
    ['delete default', 'DeleteConflict.Policy.Version.Default', 409],
    ['delete attached policy', 'DeleteConflict.Policy.User', 409],
    ['assume without a right', 'NoPermission', 403],
    ['root is not trusted', 'NoPermission', 403],
    ['session makes a user', 'NoPermission', 403],
    ['session with a broken token', 'InvalidSecurityToken.Malformed', 400],
    ['delete user with keys', 'DeleteConflict.User.AccessKey', 409],
    ['ada lists with a key that is off', 'InvalidAccessKeyId.Inactive', 400],
    ['ada lists with a key that is gone', 'InvalidAccessKeyId.NotFound', 404],
    ['delete user with policies', 'DeleteConflict.User.Policy', 409],
    ['detach again', 'EntityNotExist.User.Policy', 404],
  ] as const
  for (const [name, code, status] of failures)
    test(`${name}: the SDK raises ${code}`, () => {
      const step = steps.get(name)
      assert.deepEqual([step?.code, step?.status], [code, status], JSON.stringify(step))
    })

  test('every other step succeeds, and says under which id', () => {
    const failed = new Set<string>(failures.map(([name]) => name))
    for (const name of steps.keys()) if (!failed.has(name)) assert.match(bodyOf(name)['RequestId']!, /^[0-9A-F-]{36}$/)
    assert.ok(steps.size > 60)
  })

  test('a user comes back as it was made and changed', () => {
    const { User: user } = bodyOf('create user')
    assert.match(user!['UserId'], /^\d{18}$/)
    assert.match(user!['CreateDate'], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.deepEqual([user!['DisplayName'], user!['Email']], ['Ada L.', 'a@b.c'])
    assert.equal(bodyOf('update user')['User']!['Comments'], 'first programmer')
    assert.equal(bodyOf('get user')['User']!['UserId'], user!['UserId'])
  })

  test('a list goes on where the marker says', () => {
    const names = (name: string) => (bodyOf(name)['Users']!['User'] as { UserName: string }[]).map((u) => u.UserName)
    assert.deepEqual([names('list users'), bodyOf('list users')['IsTruncated']], [['ada'], true])
    assert.deepEqual([names('list on'), bodyOf('list on')['IsTruncated']], [['bob'], false])
    assert.deepEqual(names('ada lists'), ['ada', 'bob'])
    assert.deepEqual(names('session lists'), ['ada', 'bob'])
  })

  test('the secret of a key is in its first answer only', () => {
    const { AccessKeySecret: secret } = bodyOf('create key')['AccessKey']! as Record<string, string>
    assert.match(secret!, /^[A-Za-z0-9]{40}$/)
    const listed = bodyOf('list keys')['AccessKeys']!['AccessKey'] as object[]
    assert.equal(listed.length, 2)
    assert.ok(!JSON.stringify(listed).includes(secret!))
  })

  test('a denial says who asked for what, and which policies did not allow it', () => {
    const denied = steps.get('ada lists without a right')!.denied as Record<string, string> | null
    assert.equal(denied?.['AuthAction'], 'ram:ListUsers')
    assert.deepEqual([denied['NoPermissionType'], denied['AuthPrincipalType']], ['ImplicitDeny', 'SubUser'])
    assert.equal((steps.get('root is not trusted')!.denied as Record<string, string>)['PolicyType'], 'AssumeRolePolicy')
  })

  test('policies and roles come back whole', () => {
    assert.equal(bodyOf('get policy')['Policy']!['AttachmentCount'], 1)
    assert.ok(JSON.parse(bodyOf('get policy')['DefaultPolicyVersion']!['PolicyDocument']))
    assert.equal(bodyOf('list versions')['PolicyVersions']!['PolicyVersion']!['length'], 2)
    assert.equal(bodyOf('holders')['Users']!['User']![0]!['UserName'], 'ada')
    assert.equal(bodyOf('policies of ada')['Policies']!['Policy']![0]!['PolicyName'], 'lister')
    const { Role: role } = bodyOf('update role')
    assert.deepEqual([role!['MaxSessionDuration'], role!['Description']], [7200, 'saves'])
    assert.equal(role!['Arn'], `acs:ram::${ACCOUNT}:role/saver`)
  })

  test('everybody is who they are', () => {
    const who = (name: string) => [bodyOf(name)['IdentityType'], bodyOf(name)['Arn'], bodyOf(name)['AccountId']]
    assert.deepEqual(who('who is root'), ['Account', `acs:ram::${ACCOUNT}:root`, ACCOUNT])
    assert.deepEqual(who('who is ada'), ['RAMUser', `acs:ram::${ACCOUNT}:user/ada`, ACCOUNT])
    const arn = `acs:ram::${ACCOUNT}:assumed-role/saver/work`
    assert.deepEqual(who('who is the session'), ['AssumedRoleUser', arn, ACCOUNT])
    const roleId = bodyOf('get role')['Role']!['RoleId']
    assert.equal(bodyOf('who is the session')['PrincipalId'], `${roleId}:work`)
    assert.equal(bodyOf('assume')['AssumedRoleUser']!['AssumedRoleId'], `${roleId}:work`)
  })
})
