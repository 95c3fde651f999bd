import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from './caller.ts'
import { accessDeniedDetail } from './denied.ts'

const ALICE: Caller = {
  accountId: '123',
  kind: 'RAMUser',
  id: '2001',
  ownerId: '2001',
  name: 'alice',
  arn: 'acs:ram::123:user/alice',
  accessKeyId: 'LTAI1',
  displayName: 'Alice',
}
const SESSION: Caller = { ...ALICE, kind: 'AssumedRoleUser', id: '301:s', ownerId: '301', displayName: 'ops:s' }
const REQUEST = {
  action: 'paidsw:CreateInstanceSnapshot',
  resource: 'acs:paidsw:local:123:workspace/1/dswinstance/dsw-1/snapshot/*',
  context: { 'tintype:Repository': ['r/u2/x'] },
}
/** Not secret at all: what is sealed can be read back. */
const seal = (text: string) => Buffer.from(text).reverse()

test('all that is documented is said', () => {
  const detail = accessDeniedDetail(ALICE, REQUEST, { decision: 'ImplicitDeny', policyType: 'SessionPolicy' }, { seal })
  const { EncodedDiagnosticMessage, ...said } = detail
  assert.deepEqual(said, {
    AuthAction: 'paidsw:CreateInstanceSnapshot',
    AuthPrincipalType: 'SubUser',
    AuthPrincipalDisplayName: '2001',
    AuthPrincipalOwnerId: '123',
    AuthResource: REQUEST.resource,
    NoPermissionType: 'ImplicitDeny',
    PolicyType: 'SessionPolicy',
  })
  const opened: unknown = JSON.parse(Buffer.from(EncodedDiagnosticMessage, 'base64').reverse().toString())
  assert.deepEqual(opened, { ...said, principal: ALICE.arn, context: REQUEST.context })
})

test('what the conditions were asked with is not readable for the caller', () => {
  const detail = accessDeniedDetail(ALICE, REQUEST, { decision: 'ExplicitDeny' }, { seal: () => Buffer.from('x') })
  assert.equal(JSON.stringify(detail).includes('r/u2/x'), false)
  assert.deepEqual([detail.NoPermissionType, detail.PolicyType], ['ExplicitDeny', 'AccountLevelIdentityBasedPolicy'])
})

test('who is denied, by kind', () => {
  const say = (caller: Caller) => {
    const detail = accessDeniedDetail(caller, REQUEST, { decision: 'ImplicitDeny' }, { seal })
    return [detail.AuthPrincipalType, detail.AuthPrincipalDisplayName]
  }
  assert.deepEqual(say(SESSION), ['AssumedRoleUser', 'ops:s'])
  assert.deepEqual(say({ ...ALICE, kind: 'Account', id: '123' }), ['RootUser', '123'])
})
