import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { repeatedKey } from './json-keys.ts'
import { parsePolicy, parseTrustPolicy, POLICY_LIMIT } from './policy.ts'

const ALLOW = { Effect: 'Allow', Action: '*', Resource: '*' }
const document = (...statements: readonly object[]) => JSON.stringify({ Version: '1', Statement: statements })
const when = (Condition: unknown) => document({ ...ALLOW, Condition })

const GOOD: readonly (readonly [reason: string, text: string])[] = [
  ['everything', document(ALLOW)],
  ['lists', document({ Effect: 'Deny', Action: ['paidsw:Get*', 'PaiDSW:List*'], Resource: ['acs:paidsw:*:*:*', '*'] })],
  ['NotAction', document({ Effect: 'Allow', NotAction: 'ram:*', Resource: '*' })],
  ['several statements', document(ALLOW, ALLOW)],
  ['an empty Condition', when({})],
  ['a wildcard inside a name', document({ ...ALLOW, Action: 'paiitag:*Get*' })],
  ['a colon in the id', document({ ...ALLOW, Resource: 'acs:paidsw:*:*:a:b' })],
  ['as long as it may be', document(ALLOW).padEnd(POLICY_LIMIT)],
]
for (const [reason, text] of GOOD) test(`taken: ${reason}`, () => assert.doesNotThrow(() => parsePolicy(text)))

const BAD: readonly (readonly [reason: string, text: string, says: RegExp])[] = [
  ['too long', document(ALLOW).padEnd(POLICY_LIMIT + 1), /6145 characters, more than 6144/],
  ['no text', '', /no JSON/],
  ['no JSON', '{"Version":"1",}', /no JSON/],
  ['a list', '[]', /must be an object/],
  ['nothing', 'null', /must be an object/],
  ['no version', JSON.stringify({ Statement: [ALLOW] }), /Version must be "1"/],
  ['another version', JSON.stringify({ Version: '2012-10-17', Statement: [ALLOW] }), /Version must be "1"/],
  ['a number for the version', JSON.stringify({ Version: 1, Statement: [ALLOW] }), /Version must be "1"/],
  ['no statement', JSON.stringify({ Version: '1' }), /at least one statement/],
  ['an empty list of statements', document(), /at least one statement/],
  ['a statement that is no list', JSON.stringify({ Version: '1', Statement: ALLOW }), /at least one statement/],
  ['an element that nobody knows', JSON.stringify({ Version: '1', Statement: [ALLOW], Id: 'x' }), /element "Id"/],
  ['a statement that is no object', JSON.stringify({ Version: '1', Statement: ['x'] }), /statement must be an object/],
  ['an unknown element of a statement', document({ ...ALLOW, Sid: 'x' }), /element "Sid"/],
  ['NotResource', document({ Effect: 'Allow', Action: '*', NotResource: '*' }), /element "NotResource"/],
  ['no effect', document({ Action: '*', Resource: '*' }), /Effect must be Allow or Deny/],
  ['an effect in small letters', document({ ...ALLOW, Effect: 'allow' }), /Effect must be Allow or Deny/],
  ['neither Action nor NotAction', document({ Effect: 'Allow', Resource: '*' }), /exactly one of Action and NotAction/],
  ['Action and NotAction', document({ ...ALLOW, NotAction: '*' }), /exactly one of Action and NotAction/],
  ['no Resource', document({ Effect: 'Allow', Action: '*' }), /must have a Resource/],
  [
    'a Principal',
    document({ ...ALLOW, Principal: { RAM: ['acs:ram::1:root'] } }),
    /Principal belongs in trust policies/,
  ],
  ['an empty list of actions', document({ ...ALLOW, Action: [] }), /Action must be a text/],
  ['an action that is empty', document({ ...ALLOW, Action: '' }), /Action must be a text/],
  ['a number among actions', document({ ...ALLOW, Action: ['a:b', 1] }), /Action must be a text/],
  ['an action without a service', document({ ...ALLOW, Action: 'GetInstance' }), /"GetInstance" must be of the form/],
  ['an action with a space', document({ ...ALLOW, Action: 'paidsw: Get' }), /must be of the form SERVICE:NAME/],
  ['a resource of another cloud', document({ ...ALLOW, Resource: 'arn:aws:s3:::b' }), /"arn:aws:s3:::b" must be/],
  ['a resource with parts missing', document({ ...ALLOW, Resource: 'acs:paidsw:*' }), /"acs:paidsw:\*" must be/],
  ['a condition that is a list', when([]), /Condition must be an object/],
  ['an unknown operator', when({ StringMatches: { 'a:b': 'c' } }), /operator "StringMatches" is not known/],
  ['an operator in small letters', when({ stringlike: { 'a:b': 'c' } }), /operator "stringlike" is not known/],
  ['an operator that objects have', when({ constructor: { 'a:b': 'c' } }), /operator "constructor" is not known/],
  ['IfExists', when({ StringLikeIfExists: { 'a:b': 'c' } }), /condition operator 'IfExists\/Null' is not supported/],
  ['Null', when({ Null: { 'a:b': 'true' } }), /condition operator 'IfExists\/Null' is not supported/],
  ['an operator without keys', when({ StringLike: {} }), /StringLike must be an object with condition keys/],
  ['an operator with a text', when({ StringLike: 'x' }), /StringLike must be an object with condition keys/],
  ['a key without a service', when({ StringLike: { SourceIp: 'x' } }), /key "SourceIp" must be of the form/],
  ['no values', when({ StringLike: { 'a:b': [] } }), /StringLike a:b must have a value/],
  ['a value that is an object', when({ StringLike: { 'a:b': {} } }), /a value of StringLike a:b is not text/],
  ['a value that is null', when({ StringLike: { 'a:b': null } }), /is not text/],
  ['no number', when({ NumericEquals: { 'a:b': 'x' } }), /is not a number/],
  ['hex', when({ NumericEquals: { 'a:b': '0x10' } }), /is not a number/],
  ['no time', when({ DateLessThan: { 'acs:CurrentTime': '2026-01-02' } }), /is not a time/],
  ['a time without its zone', when({ DateLessThan: { 'acs:CurrentTime': '2026-01-02T00:00:00' } }), /is not a time/],
  ['no truth value', when({ Bool: { 'acs:SecureTransport': 'yes' } }), /is not true or false/],
  ['two truth values', when({ Bool: { 'acs:SecureTransport': ['true', 'false'] } }), /must have one value/],
  ['no address', when({ IpAddress: { 'acs:SourceIp': 'localhost' } }), /is not an IP address/],
  ['a prefix that is too long', when({ IpAddress: { 'acs:SourceIp': '10.0.0.0/33' } }), /is not an IP address/],
  ['two prefixes', when({ NotIpAddress: { 'acs:SourceIp': '10.0.0.0/8/8' } }), /is not an IP address/],
  [
    'a key twice',
    '{"Version":"1","Statement":[{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}]}',
    /"Effect" is there twice/,
  ],
]
for (const [reason, text, says] of BAD) {
  test(`refused: ${reason}`, () => {
    assert.throws(() => parsePolicy(text), { code: 'policy_invalid', message: says })
  })
}

const trust = (fields: object) => document({ Effect: 'Allow', Action: 'sts:AssumeRole', ...fields })
const ROOT = 'acs:ram::1:root'

test('trust policies name who is trusted; what is of the hosted service alone is nobody', () => {
  const principals = (Principal: object) => parseTrustPolicy(trust({ Principal })).statements[0]?.principals
  assert.deepEqual(principals({ RAM: ROOT }), [ROOT])
  const two = ['acs:ram::1:user/a.b@c', 'acs:ram::2:role/ops']
  assert.deepEqual(principals({ RAM: two }), two)
  assert.deepEqual(principals({ Service: ['ecs.aliyuncs.com'], Federated: ['acs:ram::1:saml-provider/x'] }), [])
})

const BAD_TRUST: readonly (readonly [reason: string, fields: object, says: RegExp])[] = [
  ['no Principal', {}, /must have a Principal/],
  ['a Principal that is a text', { Principal: '*' }, /Principal must be an object/],
  ['a Principal of nobody', { Principal: {} }, /must name somebody/],
  ['an unknown kind', { Principal: { AWS: ROOT } }, /element "AWS"/],
  ['everybody', { Principal: { RAM: ['*'] } }, /principal "\*" must be/],
  ['everybody of every account', { Principal: { RAM: ['acs:ram::*:root'] } }, /must be acs:ram::ACCOUNT:root/],
  ['a wildcard for users', { Principal: { RAM: ['acs:ram::1:user/*'] } }, /must be acs:ram::ACCOUNT:root/],
  ['a Resource', { Principal: { RAM: ROOT }, Resource: '*' }, /has no Resource/],
  ['NotAction', { Principal: { RAM: ROOT }, Action: undefined, NotAction: '*' }, /has no NotAction/],
  ['no Action', { Principal: { RAM: ROOT }, Action: undefined }, /Action must be a text/],
]
for (const [reason, fields, says] of BAD_TRUST) {
  test(`a trust policy is refused: ${reason}`, () => {
    assert.throws(() => parseTrustPolicy(trust(fields)), { code: 'policy_invalid', message: says })
  })
}

test('a key that is twice in one object is found, in every spelling', () => {
  const rows = [
    ['{"a":1,"b":{"a":2},"c":[{"a":1},{"a":1}]}', undefined],
    ['{"a":1,"a":1}', 'a'],
    ['{"a":1,"\\u0061":1}', 'a'],
    ['{"x":{"a":1, "b" : "}", "a" :2}}', 'a'],
    ['{"a":{},"a":{}}', 'a'],
    ['{"a":"b","b":"a\\":","c":"{"}', undefined],
    ['["a","a"]', undefined],
  ] as const
  for (const [text, key] of rows) assert.equal(repeatedKey(text), key, text)
})

test('no JSON that was written from a value has a key twice', () => {
  fc.assert(fc.property(fc.json(), (text) => assert.equal(repeatedKey(text), undefined)))
})

test('whatever the text, it is a policy or policy_invalid', () => {
  const element = fc.constantFrom(
    'Version',
    'Statement',
    'Effect',
    'Action',
    'Resource',
    'Condition',
    'Principal',
    '1',
    '*',
  )
  const values = fc.oneof(
    fc.json(),
    fc.object({ key: element }).map((value) => JSON.stringify(value)),
    fc.string(),
  )
  fc.assert(
    fc.property(values, (text) => {
      for (const parse of [parsePolicy, parseTrustPolicy]) assert.throws(() => parse(text), { code: 'policy_invalid' })
    }),
  )
})
