import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { evaluate, evaluateTrust } from './evaluate.ts'
import type { AccessRequest, Decision, PolicySet } from './evaluate.ts'
import { parsePolicy, parseTrustPolicy } from './policy.ts'

const policy = (...Statement: readonly object[]) => parsePolicy(JSON.stringify({ Version: '1', Statement }))
const identity = (...statements: readonly object[]): PolicySet => ({
  type: 'AccountLevelIdentityBasedPolicy',
  policies: [policy(...statements)],
})
const session = (...statements: readonly object[]): PolicySet => ({
  type: 'SessionPolicy',
  policies: [policy(...statements)],
})
const allow = (Action: string | readonly string[], Resource: string | readonly string[] = '*', Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition && { Condition }),
})
const deny = (...args: Parameters<typeof allow>) => ({ ...allow(...args), Effect: 'Deny' })

const INSTANCE = 'acs:paidsw:cn-hangzhou:123:workspace/7/dswinstance/dsw-1'
const SNAPSHOT = `${INSTANCE}/snapshot/snp-1`
const ask = (action: string, resource = INSTANCE, context: AccessRequest['context'] = {}): AccessRequest => ({
  action,
  resource,
  context,
})
const update: AccessRequest = {
  ...ask('paidsw:UpdateInstance'),
  aliases: ['paidsw:UpdatePostPaidInstance', 'paidsw:UpdatePrePaidInstance'],
}
const push = (repository: string) =>
  ask('paidsw:CreateInstanceSnapshot', SNAPSHOT, { 'tintype:Repository': [repository] })
const OWN = { StringLike: { 'tintype:Repository': 'r.example.com/u1/*' } }
const NOT_OWN = { StringNotLike: { 'tintype:Repository': 'r.example.com/u1/*' } }

type Row = readonly [
  reason: string,
  statements: readonly object[],
  request: AccessRequest,
  decision: Decision['decision'],
]
const ROWS: readonly Row[] = [
  // actions
  ['everything', [allow('*')], ask('paidsw:GetInstance'), 'Allow'],
  ['all of a service', [allow('paidsw:*')], ask('paidsw:GetInstance'), 'Allow'],
  ['all services by name', [allow('*:*')], ask('paidsw:GetInstance'), 'Allow'],
  ['one action', [allow('paidsw:GetInstance')], ask('paidsw:GetInstance'), 'Allow'],
  ['another action', [allow('paidsw:GetInstance')], ask('paidsw:StopInstance'), 'ImplicitDeny'],
  ['an action that only begins so', [allow('paidsw:GetInstance')], ask('paidsw:GetInstanceSnapshot'), 'ImplicitDeny'],
  ['an action that only ends so', [allow('paidsw:Instance')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  ['the service in another casing', [allow('PaiDSW:GetInstance')], ask('paidsw:GetInstance'), 'Allow'],
  ['the action in another casing', [allow('paidsw:getinstance')], ask('paidsw:GetInstance'), 'Allow'],
  ['the request in another casing', [allow('paidsw:GetInstance')], ask('PAIDSW:GETINSTANCE'), 'Allow'],
  ['a prefix of the service is another service', [allow('pai:*')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  ['a wildcard at the end', [allow('paidsw:Get*')], ask('paidsw:GetInstanceSnapshot'), 'Allow'],
  ['a wildcard at the end, another verb', [allow('paidsw:Get*')], ask('paidsw:ListInstances'), 'ImplicitDeny'],
  ['wildcards on both sides', [allow('paidsw:*Snapshot*')], ask('paidsw:ListInstanceSnapshot'), 'Allow'],
  ['wildcards on both sides, nothing between', [allow('paidsw:*Snapshot*')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  ['a wildcard for one character', [allow('paidsw:?etInstance')], ask('paidsw:GetInstance'), 'Allow'],
  ['a wildcard for one character, two', [allow('paidsw:??etInstance')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  ['one of a list', [allow(['paidsw:StopInstance', 'paidsw:GetInstance'])], ask('paidsw:GetInstance'), 'Allow'],
  [
    'none of a list',
    [allow(['paidsw:StopInstance', 'paidsw:StartInstance'])],
    ask('paidsw:GetInstance'),
    'ImplicitDeny',
  ],
  ['a dot is a dot', [allow('paidsw:GetInstance')], ask('paidsw:Get.nstance'), 'ImplicitDeny'],
  // NotAction
  ['everything but', [{ Effect: 'Allow', NotAction: 'ram:*', Resource: '*' }], ask('paidsw:GetInstance'), 'Allow'],
  ['what is excepted', [{ Effect: 'Allow', NotAction: 'ram:*', Resource: '*' }], ask('ram:CreateUser'), 'ImplicitDeny'],
  [
    'one of the excepted',
    [{ Effect: 'Allow', NotAction: ['ram:*', 'sts:*'], Resource: '*' }],
    ask('sts:AssumeRole'),
    'ImplicitDeny',
  ],
  [
    'a denial of all but',
    [allow('*'), { Effect: 'Deny', NotAction: 'paidsw:Get*', Resource: '*' }],
    ask('paidsw:StopInstance'),
    'ExplicitDeny',
  ],
  [
    'a denial of all but this',
    [allow('*'), { Effect: 'Deny', NotAction: 'paidsw:Get*', Resource: '*' }],
    ask('paidsw:GetInstance'),
    'Allow',
  ],
  [
    'a denial of all but, other resources',
    [allow('*'), { Effect: 'Deny', NotAction: 'paidsw:Get*', Resource: 'acs:ram:*:*:*' }],
    ask('paidsw:StopInstance'),
    'Allow',
  ],
  // several statements
  [
    'a denial beside an allowance',
    [allow('*'), deny('paidsw:DeleteInstance')],
    ask('paidsw:DeleteInstance'),
    'ExplicitDeny',
  ],
  [
    'a denial before an allowance',
    [deny('paidsw:DeleteInstance'), allow('*')],
    ask('paidsw:DeleteInstance'),
    'ExplicitDeny',
  ],
  ['a denial of something else', [allow('*'), deny('paidsw:DeleteInstance')], ask('paidsw:GetInstance'), 'Allow'],
  ['a denial alone', [deny('*')], ask('paidsw:GetInstance'), 'ExplicitDeny'],
  [
    'a denial of another resource',
    [allow('*'), deny('*', 'acs:paidsw:*:*:dswinstance/dsw-2')],
    ask('paidsw:GetInstance'),
    'Allow',
  ],
  ['the second allowance', [allow('ram:*'), allow('paidsw:*')], ask('paidsw:GetInstance'), 'Allow'],
  // resources
  ['a resource as it is', [allow('*', INSTANCE)], ask('paidsw:GetInstance'), 'Allow'],
  ['another instance', [allow('*', INSTANCE)], ask('paidsw:GetInstance', `${INSTANCE}0`), 'ImplicitDeny'],
  ['wildcards for the parts', [allow('*', 'acs:paidsw:*:*:*')], ask('paidsw:GetInstance'), 'Allow'],
  ['another service', [allow('*', 'acs:paiimage:*:*:*')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  ['the service in another casing', [allow('*', 'acs:PaiDSW:*:*:*')], ask('paidsw:GetInstance'), 'Allow'],
  ['the region', [allow('*', 'acs:paidsw:cn-*:*:*')], ask('paidsw:GetInstance'), 'Allow'],
  ['another region', [allow('*', 'acs:paidsw:us-*:*:*')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  ['the account', [allow('*', 'acs:paidsw:*:123:*')], ask('paidsw:GetInstance'), 'Allow'],
  ['another account', [allow('*', 'acs:paidsw:*:1234:*')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  ['no account', [allow('*', 'acs:paidsw:*::*')], ask('paidsw:GetInstance'), 'ImplicitDeny'],
  [
    'a wildcard does not reach over a colon',
    [allow('*', 'acs:paidsw:*:9:workspace/*')],
    ask('paidsw:GetInstance', 'acs:paidsw:r:123:x:9:workspace/7'),
    'ImplicitDeny',
  ],
  ['all of a workspace', [allow('*', 'acs:paidsw:*:*:workspace/7/*')], ask('paidsw:GetInstance'), 'Allow'],
  [
    'all of another workspace',
    [allow('*', 'acs:paidsw:*:*:workspace/77/*')],
    ask('paidsw:GetInstance'),
    'ImplicitDeny',
  ],
  [
    'without the workspace, as in the tables',
    [allow('*', 'acs:paidsw:*:*:dswinstance/dsw-1')],
    ask('paidsw:GetInstance'),
    'Allow',
  ],
  [
    'without the workspace, all instances',
    [allow('*', 'acs:paidsw:*:*:dswinstance/*')],
    ask('paidsw:GetInstance'),
    'Allow',
  ],
  [
    'without the workspace, a denial',
    [allow('*'), deny('*', 'acs:paidsw:*:*:dswinstance/dsw-1')],
    ask('paidsw:GetInstance'),
    'ExplicitDeny',
  ],
  [
    'without the workspace, another instance',
    [allow('*', 'acs:paidsw:*:*:dswinstance/dsw-10')],
    ask('paidsw:GetInstance'),
    'ImplicitDeny',
  ],
  [
    'without the workspace, the snapshots of one',
    [allow('*', 'acs:paidsw:*:*:dswinstance/dsw-1/snapshot/*')],
    ask('paidsw:GetInstanceSnapshot', SNAPSHOT),
    'Allow',
  ],
  [
    'the workspace itself',
    [allow('*', 'acs:paidsw:*:*:workspace/7')],
    ask('paidsw:ListInstances', 'acs:paidsw:r:123:workspace/7'),
    'Allow',
  ],
  [
    'an id in another casing',
    [allow('*', 'acs:paidsw:*:*:dswinstance/DSW-1')],
    ask('paidsw:GetInstance'),
    'ImplicitDeny',
  ],
  ['a request for no resource, all allowed', [allow('*')], ask('paidsw:GetUserConfig', '*'), 'Allow'],
  [
    'a request for no resource, some allowed',
    [allow('*', 'acs:paidsw:*:*:*')],
    ask('paidsw:GetUserConfig', '*'),
    'ImplicitDeny',
  ],
  [
    'a star in the request is a star',
    [allow('*', 'acs:paidsw:*:*:dswinstance/dsw-1')],
    ask('paidsw:ListInstances', 'acs:paidsw:r:123:*'),
    'ImplicitDeny',
  ],
  // other names of one right
  ['the name of an operation', [allow('paidsw:UpdateInstance')], update, 'Allow'],
  ['the name for instances paid by use', [allow('PaiDSW:UpdatePostPaidInstance')], update, 'Allow'],
  ['the name for instances paid before', [allow('paidsw:UpdatePrePaidInstance')], update, 'Allow'],
  ['the name of another operation', [allow('paidsw:DeletePostPaidInstance')], update, 'ImplicitDeny'],
  ['a denial by another name', [allow('*'), deny('paidsw:UpdatePostPaidInstance')], update, 'ExplicitDeny'],
  [
    'an exception by another name',
    [{ Effect: 'Allow', NotAction: 'paidsw:UpdatePostPaidInstance', Resource: '*' }],
    update,
    'ImplicitDeny',
  ],
  // where a user may push
  ['the own repository', [allow('paidsw:*', '*', OWN)], push('r.example.com/u1/tools'), 'Allow'],
  ["another user's repository", [allow('paidsw:*', '*', OWN)], push('r.example.com/u2/tools'), 'ImplicitDeny'],
  ['no condition', [allow('paidsw:*')], push('r.example.com/u2/tools'), 'Allow'],
  [
    "a denial for others' repositories",
    [allow('*'), deny('paidsw:*', '*', NOT_OWN)],
    push('r.example.com/u2/tools'),
    'ExplicitDeny',
  ],
  [
    "a denial for others' repositories, the own one",
    [allow('*'), deny('paidsw:*', '*', NOT_OWN)],
    push('r.example.com/u1/tools'),
    'Allow',
  ],
  [
    'the condition where no repository is asked for',
    [allow('paidsw:*', '*', OWN)],
    ask('paidsw:GetInstance'),
    'ImplicitDeny',
  ],
  // documented
  [
    'multi-factor: a denial does not reach access keys',
    [allow('*'), deny('*', '*', { Bool: { 'acs:MFAPresent': 'false' } })],
    ask('paidsw:GetInstance'),
    'Allow',
  ],
  [
    'from the office only',
    [allow('*', '*', { IpAddress: { 'acs:SourceIp': ['203.0.113.0/24'] } })],
    ask('a:b', '*', { 'acs:SourceIp': '203.0.113.5' }),
    'Allow',
  ],
  [
    'from elsewhere',
    [allow('*', '*', { IpAddress: { 'acs:SourceIp': ['203.0.113.0/24'] } })],
    ask('a:b', '*', { 'acs:SourceIp': '192.0.2.5' }),
    'ImplicitDeny',
  ],
  [
    'over TLS only',
    [allow('*'), deny('*', '*', { Bool: { 'acs:SecureTransport': 'false' } })],
    ask('a:b', '*', { 'acs:SecureTransport': 'false' }),
    'ExplicitDeny',
  ],
  [
    'two conditions, one fails',
    [allow('*', '*', { ...OWN, Bool: { 'acs:SecureTransport': 'true' } })],
    push('r.example.com/u1/x'),
    'ImplicitDeny',
  ],
]
for (const [reason, statements, request, decision] of ROWS) {
  test(`${decision}: ${reason}`, () => {
    const expected = decision === 'Allow' ? { decision } : { decision, policyType: 'AccountLevelIdentityBasedPolicy' }
    assert.deepEqual(evaluate([identity(...statements)], request), expected)
    // Statements and policies are pooled: how they are cut does not matter.
    const policies = statements.map((one) => policy(one))
    assert.deepEqual(evaluate([{ type: 'AccountLevelIdentityBasedPolicy', policies }], request), expected)
  })
}

const GET = ask('paidsw:GetInstance')
const SETS: readonly (readonly [reason: string, sets: readonly PolicySet[], expected: Decision])[] = [
  ['no policy at all', [], { decision: 'ImplicitDeny', policyType: 'AccountLevelIdentityBasedPolicy' }],
  [
    'a set without policies',
    [{ type: 'AccountLevelIdentityBasedPolicy', policies: [] }],
    { decision: 'ImplicitDeny', policyType: 'AccountLevelIdentityBasedPolicy' },
  ],
  ['both allow', [identity(allow('*')), session(allow('paidsw:*'))], { decision: 'Allow' }],
  [
    'the session does not',
    [identity(allow('*')), session(allow('ram:*'))],
    { decision: 'ImplicitDeny', policyType: 'SessionPolicy' },
  ],
  [
    'the session alone does',
    [identity(allow('ram:*')), session(allow('*'))],
    { decision: 'ImplicitDeny', policyType: 'AccountLevelIdentityBasedPolicy' },
  ],
  [
    'the session denies',
    [identity(allow('*')), session(allow('*'), deny('paidsw:Get*'))],
    { decision: 'ExplicitDeny', policyType: 'SessionPolicy' },
  ],
  [
    'a denial goes before a silence',
    [identity(allow('ram:*')), session(deny('*'))],
    { decision: 'ExplicitDeny', policyType: 'SessionPolicy' },
  ],
  [
    'both are silent',
    [session(allow('ram:*')), identity(allow('ram:*'))],
    { decision: 'ImplicitDeny', policyType: 'SessionPolicy' },
  ],
]
for (const [reason, sets, expected] of SETS)
  test(`sets: ${reason}`, () => assert.deepEqual(evaluate(sets, GET), expected))

test('a resource that is none is refused', () => {
  assert.throws(() => evaluate([identity(allow('*'))], ask('a:b', 'dsw-1')), { code: 'arn_invalid' })
})

const statements = fc.array(
  fc.record({
    Effect: fc.constantFrom('Allow', 'Deny'),
    Action: fc.constantFrom('*', 'paidsw:*', 'paidsw:Get*', 'ram:*'),
    Resource: fc.constantFrom('*', 'acs:paidsw:*:*:*', 'acs:paidsw:*:*:dswinstance/dsw-2'),
  }),
  { minLength: 1, maxLength: 6 },
)

test('a Deny that speaks of the request always wins, and order never counts', () => {
  fc.assert(
    fc.property(statements, fc.nat(), (some, at) => {
      const { decision } = evaluate([identity(...some)], GET)
      assert.equal(evaluate([identity(...some.toReversed())], GET).decision, decision)
      const denied = some.toSpliced(at % (some.length + 1), 0, deny('*') as (typeof some)[number])
      assert.equal(evaluate([identity(...denied)], GET).decision, 'ExplicitDeny')
    }),
  )
})

test('a session never adds a right', () => {
  fc.assert(
    fc.property(statements, statements, (own, narrowing) => {
      const both = evaluate([identity(...own), session(...narrowing)], GET).decision
      if (evaluate([identity(...own)], GET).decision !== 'Allow') assert.notEqual(both, 'Allow')
      if (evaluate([session(...narrowing)], GET).decision !== 'Allow') assert.notEqual(both, 'Allow')
    }),
  )
})

const trustFor = (RAM: string | readonly string[], more: object = {}) =>
  parseTrustPolicy(
    JSON.stringify({
      Version: '1',
      Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { RAM }, ...more }],
    }),
  )
const ALICE = { accountId: '1', arn: 'acs:ram::1:user/alice' }
const PLAYER = { accountId: '1', arn: 'acs:ram::1:assumed-role/ops/session' }
const EXTERNAL = { Condition: { StringEquals: { 'sts:ExternalId': 'abc' } } }

const TRUST: readonly (readonly [
  reason: string,
  trust: ReturnType<typeof trustFor>,
  caller: typeof ALICE,
  context: AccessRequest['context'],
  decision: string,
])[] = [
  ['everybody of the account', trustFor('acs:ram::1:root'), ALICE, {}, 'Allow'],
  ['the account itself', trustFor('acs:ram::1:root'), { accountId: '1', arn: 'acs:ram::1:root' }, {}, 'Allow'],
  ['another account', trustFor('acs:ram::2:root'), ALICE, {}, 'ImplicitDeny'],
  ['a user by name', trustFor(['acs:ram::1:user/bob', 'acs:ram::1:user/alice']), ALICE, {}, 'Allow'],
  ['another user', trustFor('acs:ram::1:user/bob'), ALICE, {}, 'ImplicitDeny'],
  ['a user of the same name elsewhere', trustFor('acs:ram::2:user/alice'), ALICE, {}, 'ImplicitDeny'],
  ['a role that is played', trustFor('acs:ram::1:role/ops'), PLAYER, {}, 'Allow'],
  ['another role', trustFor('acs:ram::1:role/op'), PLAYER, {}, 'ImplicitDeny'],
  ['a user with the name of a role', trustFor('acs:ram::1:role/alice'), ALICE, {}, 'ImplicitDeny'],
  ['the external id', trustFor('acs:ram::1:root', EXTERNAL), ALICE, { 'sts:ExternalId': 'abc' }, 'Allow'],
  ['another external id', trustFor('acs:ram::1:root', EXTERNAL), ALICE, { 'sts:ExternalId': 'ABC' }, 'ImplicitDeny'],
  ['no external id', trustFor('acs:ram::1:root', EXTERNAL), ALICE, {}, 'ImplicitDeny'],
  ['another action', trustFor('acs:ram::1:root', { Action: 'sts:TagSession' }), ALICE, {}, 'ImplicitDeny'],
  ['a denial', trustFor('acs:ram::1:root', { Effect: 'Deny' }), ALICE, {}, 'ExplicitDeny'],
]
for (const [reason, trust, caller, context, decision] of TRUST) {
  test(`trust, ${decision}: ${reason}`, () => {
    const expected = decision === 'Allow' ? { decision } : { decision, policyType: 'AssumeRolePolicy' }
    assert.deepEqual(evaluateTrust(trust, caller, { action: 'sts:AssumeRole', context }), expected)
  })
}
