import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACCOUNT_ID, openApiServer, ROOT_KEY, USER_KEY } from '#lab/api-server.ts'
import { signedClient } from '#lab/signed-client.ts'
import { AppError } from '#base/errors.ts'
import { route } from '#http/route.ts'

const OWN = `acs:paidsw:local:${ACCOUNT_ID}:workspace/1/dswinstance`
const handled: string[] = []
const routes = [
  route({
    action: 'GetInstance',
    resource: ({ params }) => {
      if (params.InstanceId === 'dsw-gone') throw new AppError('instance_not_found', 'There is no instance dsw-gone.')
      return `${OWN}/${params.InstanceId}`
    },
    handle: async ({ params }) => {
      handled.push(params.InstanceId)
      return { InstanceId: params.InstanceId }
    },
  }),
  route({
    action: 'UpdateInstance',
    resource: ({ params }) => `${OWN}/${params.InstanceId}`,
    handle: async ({ params }) => ({ InstanceId: params.InstanceId }),
  }),
  route({
    action: 'CreateInstanceSnapshot',
    context: ({ body }) => ({ 'tintype:Repository': [body.ImageUrl.split(':')[0] ?? ''] }),
    resource: ({ params }) => `${OWN}/${params.InstanceId}/snapshot/*`,
    handle: async ({ params, body }) => {
      handled.push(body.ImageUrl)
      return { InstanceId: params.InstanceId, SnapshotId: 'snp-1' }
    },
  }),
  route({
    action: 'StopInstances',
    handle: async ({ body, may }) => ({
      InstanceIds: body.InstanceIds.filter((id) => may({ action: 'paidsw:StopInstance' }, `${OWN}/${id}`)),
    }),
  }),
  route({ action: 'GetUserConfig', handle: async () => ({ AccountSufficient: true }) }),
]

interface Statement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Action?: string | readonly string[]
  readonly NotAction?: string
  readonly Resource: string | readonly string[]
  readonly Condition?: object
}
const allow = (Action: string, Resource = '*', Condition?: object): Statement => {
  return { Effect: 'Allow', Action, Resource, ...(Condition && { Condition }) }
}
const deny = (Action: string, Resource = '*'): Statement => ({ Effect: 'Deny', Action, Resource })

async function ask(statements: readonly Statement[], line: string, body?: unknown) {
  const policy = { Version: '1', Statement: statements }
  await using server = await openApiServer({ routes, ...(statements.length > 0 && { policy }) })
  const answer = await signedClient(server.url, USER_KEY)(line, body === undefined ? {} : { body })
  return { ...answer, audit: [...server.audit] }
}

const GET = 'GET /api/v2/instances/dsw-1'
const PUT = 'PUT /api/v2/instances/dsw-1'
const SAVE = 'POST /api/v2/instances/dsw-1/snapshots'
const save = (ImageUrl: string) => ({ SnapshotName: 'friday', ImageUrl })
const onlyTeamA = { StringLike: { 'tintype:Repository': 'registry.example.com/team-a/*' } }

const ROWS: readonly (readonly [string, readonly Statement[], string, unknown, number])[] = [
  ['a user without any policy', [], GET, undefined, 403],
  ['a policy for the action', [allow('paidsw:GetInstance')], GET, undefined, 200],
  ['a policy in another casing', [allow('PaiDSW:getinstance')], GET, undefined, 200],
  ['a policy for another action', [allow('paidsw:ListInstances')], GET, undefined, 403],
  ['a policy for this instance', [allow('paidsw:*', `${OWN}/dsw-1`)], GET, undefined, 200],
  ['a policy for another instance', [allow('paidsw:*', `${OWN}/dsw-2`)], GET, undefined, 403],
  ['another account', [allow('paidsw:*', OWN.replace(ACCOUNT_ID, '9'))], GET, undefined, 403],
  ['a Deny wins', [allow('*'), deny('paidsw:Get*')], GET, undefined, 403],
  ['right from this address', [allow('*', '*', { IpAddress: { 'acs:SourceIp': '127.0.0.0/8' } })], GET, undefined, 200],
  [
    'from another address only',
    [allow('*', '*', { IpAddress: { 'acs:SourceIp': '10.0.0.0/8' } })],
    GET,
    undefined,
    403,
  ],
  ['only under TLS', [allow('*', '*', { Bool: { 'acs:SecureTransport': 'true' } })], GET, undefined, 403],
  ['the name by payment', [allow('paidsw:UpdatePostPaidInstance')], PUT, {}, 200],
  [
    'all but one of the names of a right',
    [{ Effect: 'Allow', NotAction: 'paidsw:UpdatePostPaidInstance', Resource: '*' }],
    PUT,
    {},
    403,
  ],
  ['allowed unless denied', [], 'GET /api/v2/userconfig', undefined, 200],
  ['allowed unless denied, and denied', [deny('paidsw:GetUserConfig')], 'GET /api/v2/userconfig', undefined, 403],
  [
    'their own repository',
    [allow('paidsw:*', '*', onlyTeamA)],
    SAVE,
    save('registry.example.com/team-a/notebook'),
    200,
  ],
  [
    "another team's repository",
    [allow('paidsw:*', '*', onlyTeamA)],
    SAVE,
    save('registry.example.com/team-b/notebook'),
    403,
  ],
  [
    'a repository that only begins like theirs',
    [allow('paidsw:*', '*', onlyTeamA)],
    SAVE,
    save('registry.example.com/team-abc/notebook'),
    403,
  ],
  ['what is not there, for whoever may see', [allow('paidsw:*')], 'GET /api/v2/instances/dsw-gone', undefined, 404],
  ['what is not there, for whoever may do nothing', [], 'GET /api/v2/instances/dsw-gone', undefined, 403],
  ['a mistake in the body, for whoever may do it', [allow('paidsw:*')], SAVE, { SnapshotName: 'A_b' }, 400],
  ['a mistake in the body, for whoever may do nothing', [], SAVE, { SnapshotName: 'A_b' }, 403],
]
for (const [name, statements, line, body, status] of ROWS) {
  test(`RAM: ${name}: ${status}`, async () => {
    const before = handled.length
    const answer = await ask(statements, line, body)
    assert.equal(answer.status, status, answer.text)
    if (status !== 200) assert.equal(handled.length, before, 'no handler was reached')
  })
}

test('who is refused learns what, why and by which kind of policy; the audit log has it, too', async () => {
  const { json, audit } = await ask([deny('paidsw:*'), allow('*')], GET)
  assert.deepEqual([json['Code'], json['Success'], json['HttpStatusCode']], ['NoPermission', false, 403])
  const { EncodedDiagnosticMessage, ...detail } = json['AccessDeniedDetail'] as Record<string, string>
  assert.deepEqual(detail, {
    AuthAction: 'paidsw:GetInstance',
    AuthPrincipalType: 'SubUser',
    AuthPrincipalDisplayName: '2000000000000001',
    AuthPrincipalOwnerId: ACCOUNT_ID,
    AuthResource: `${OWN}/dsw-1`,
    NoPermissionType: 'ExplicitDeny',
    PolicyType: 'AccountLevelIdentityBasedPolicy',
  })
  assert.doesNotMatch(
    Buffer.from(EncodedDiagnosticMessage!, 'base64').toString(),
    /127\.0\.0\.1/,
    'only for the server',
  )
  assert.deepEqual(
    audit.map(({ outcome, code, resource, requestId }) => [outcome, code, resource, requestId]),
    [['denied', 'NoPermission', `${OWN}/dsw-1`, json['RequestId']]],
  )
})

test('in a batch each thing is asked for by itself', async () => {
  const line = 'PUT /api/v2/batch/instances/stop'
  const statements = [allow('paidsw:StopInstances'), allow('paidsw:StopInstance', `${OWN}/dsw-2`)]
  const { status, json } = await ask(statements, line, { InstanceIds: ['dsw-1', 'dsw-2'] })
  assert.deepEqual([status, json['InstanceIds']], [200, ['dsw-2']])
})

test('the account itself is bound by no policy', async () => {
  await using server = await openApiServer({ routes, policy: { Version: '1', Statement: [deny('*')] } })
  assert.equal((await signedClient(server.url, ROOT_KEY)(GET)).status, 200)
})
