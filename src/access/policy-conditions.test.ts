import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contextOf, parseConditions } from './policy-conditions.ts'
import type { ContextValues } from './policy-conditions.ts'

const holds = (condition: object, values: ContextValues) => {
  const conditions = parseConditions(condition, (what) => assert.fail(what))
  return conditions.every((one) => one(contextOf(values)))
}

const IP = 'acs:SourceIp'
const NOW = 'acs:CurrentTime'
const REPOSITORY = 'tintype:Repository'
const ONE = 'test:One'

/** operator, key, values of the policy; values of the request, and whether the condition holds. */
const ROWS: readonly (readonly [
  operator: string,
  key: string,
  wanted: unknown,
  actual: string | readonly string[],
  holds: boolean,
])[] = [
  ['StringEquals', ONE, 'a', 'a', true],
  ['StringEquals', ONE, 'a', 'A', false],
  ['StringEquals', ONE, 'a*', 'ab', false],
  ['StringEquals', ONE, ['a', 'b'], 'b', true],
  ['StringEquals', ONE, ['a', 'b'], ['x', 'b'], true],
  ['StringEquals', ONE, ['a', 'b'], ['x', 'y'], false],
  ['StringEquals', ONE, '', '', true],
  ['StringEquals', ONE, 7, '7', true],
  ['StringNotEquals', ONE, 'a', 'a', false],
  ['StringNotEquals', ONE, 'a', 'b', true],
  ['StringNotEquals', ONE, ['a', 'b'], 'b', false],
  ['StringNotEquals', ONE, 'a', ['a', 'b'], false],
  ['StringNotEquals', ONE, 'a', [], true],
  ['StringEqualsIgnoreCase', ONE, 'Public', 'PUBLIC', true],
  ['StringEqualsIgnoreCase', ONE, 'Public', 'PRIVATE', false],
  ['StringNotEqualsIgnoreCase', ONE, 'Public', 'PUBLIC', false],
  ['StringNotEqualsIgnoreCase', ONE, 'Public', 'PRIVATE', true],
  ['StringLike', REPOSITORY, 'r.example.com/u1/*', 'r.example.com/u1/tools', true],
  ['StringLike', REPOSITORY, 'r.example.com/u1/*', 'r.example.com/u2/tools', false],
  ['StringLike', REPOSITORY, 'r.example.com/u1/*', 'evil.com/r.example.com/u1/x', false],
  ['StringLike', REPOSITORY, ['a/*', 'b/?'], 'b/c', true],
  ['StringLike', REPOSITORY, ['a/*', 'b/?'], 'b/cd', false],
  ['StringNotLike', REPOSITORY, 'r/u1/*', 'r/u1/x', false],
  ['StringNotLike', REPOSITORY, 'r/u1/*', 'r/u2/x', true],
  ['NumericEquals', ONE, '10', '10.0', true],
  ['NumericEquals', ONE, 10, '10', true],
  ['NumericEquals', ONE, '10', 'ten', false],
  ['NumericNotEquals', ONE, '10', '10', false],
  ['NumericNotEquals', ONE, '10', '11', true],
  ['NumericLessThan', ONE, '10', '9.5', true],
  ['NumericLessThan', ONE, '10', '10', false],
  ['NumericLessThan', ONE, '-1', '-2', true],
  ['NumericLessThanEquals', ONE, '10', '10', true],
  ['NumericLessThanEquals', ONE, '10', '10.1', false],
  ['NumericGreaterThan', ONE, '10', '100', true],
  ['NumericGreaterThan', ONE, '10', '9', false],
  ['NumericGreaterThanEquals', ONE, '10', '10', true],
  ['NumericGreaterThanEquals', ONE, '10', '', false],
  ['DateEquals', NOW, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000Z', true],
  ['DateEquals', NOW, '2026-01-02T03:04:05Z', '2026-01-02T11:04:05+08:00', true],
  ['DateNotEquals', NOW, '2026-01-02T03:04:05Z', '2026-01-02T03:04:06Z', true],
  ['DateLessThan', NOW, '2026-01-02T00:00:00+08:00', '2026-01-01T15:59:59Z', true],
  ['DateLessThan', NOW, '2026-01-02T00:00:00+08:00', '2026-01-01T16:00:00Z', false],
  ['DateLessThanEquals', NOW, '2026-01-02T00:00:00Z', '2026-01-02T00:00:00Z', true],
  ['DateGreaterThan', NOW, '2026-01-02T00:00:00Z', '2026-01-02T00:00:01Z', true],
  ['DateGreaterThan', NOW, '2026-01-02T00:00:00Z', 'tomorrow', false],
  ['DateGreaterThanEquals', NOW, '2026-01-02T00:00:00Z', '2026-01-01T23:59:59Z', false],
  ['Bool', 'acs:SecureTransport', 'true', 'true', true],
  ['Bool', 'acs:SecureTransport', true, 'true', true],
  ['Bool', 'acs:SecureTransport', ['True'], 'true', true],
  ['Bool', 'acs:SecureTransport', 'false', 'true', false],
  ['IpAddress', IP, '10.0.0.0/8', '10.1.2.3', true],
  ['IpAddress', IP, '10.0.0.0/8', '11.0.0.1', false],
  ['IpAddress', IP, '10.1.2.3/8', '10.9.9.9', true],
  ['IpAddress', IP, '0.0.0.0/0', '203.0.113.9', true],
  ['IpAddress', IP, ['192.0.2.1', '198.51.100.0/24'], '198.51.100.7', true],
  ['IpAddress', IP, '192.0.2.1', '192.0.2.1', true],
  ['IpAddress', IP, '192.0.2.1', '::ffff:192.0.2.1', true],
  ['IpAddress', IP, '2001:db8::/32', '2001:db8:1::1', true],
  ['IpAddress', IP, '2001:db8::/32', '2001:db9::1', false],
  ['IpAddress', IP, '::/0', '10.0.0.1', true],
  ['IpAddress', IP, 'fe80::/10', 'fe80::1%eth0', false],
  ['IpAddress', IP, '10.0.0.0/8', 'unknown', false],
  ['NotIpAddress', IP, '10.0.0.0/8', '10.1.2.3', false],
  ['NotIpAddress', IP, '10.0.0.0/8', '11.0.0.1', true],
  ['NotIpAddress', IP, ['10.0.0.0/8', '11.0.0.0/8'], '11.0.0.1', false],
]
for (const [operator, key, wanted, actual, expected] of ROWS) {
  test(`${operator} ${JSON.stringify(wanted)} ${expected ? 'holds' : 'does not hold'} for ${JSON.stringify(actual)}`, () => {
    assert.equal(holds({ [operator]: { [key]: wanted } }, { [key]: actual }), expected)
  })
}

test('operators and keys must all hold, one value is enough', () => {
  const condition = {
    StringEquals: { 'a:One': ['1', '2'], 'a:Two': 'x' },
    Bool: { 'acs:SecureTransport': 'true' },
  }
  const values = { 'a:One': '2', 'a:Two': 'x', 'acs:SecureTransport': 'true' }
  assert.equal(holds(condition, values), true)
  for (const key of Object.keys(values)) assert.equal(holds(condition, { ...values, [key]: 'false' }), false, key)
})

test('a key that the request does not have is equal to nothing', () => {
  assert.equal(holds({ Bool: { 'acs:MFAPresent': 'false' } }, {}), false)
  assert.equal(holds({ StringLike: { [REPOSITORY]: '*' } }, {}), false)
  assert.equal(holds({ StringNotLike: { [REPOSITORY]: '*' } }, {}), true)
  assert.equal(holds({ NotIpAddress: { [IP]: '10.0.0.0/8' } }, {}), true)
})

test('keys have no case, the tags behind a slash have one', () => {
  assert.equal(holds({ StringEquals: { 'ACS:sourceip': 'x' } }, { 'acs:SourceIp': 'x' }), true)
  assert.equal(holds({ StringEquals: { 'acs:resourcetag/Team': 'x' } }, { 'acs:ResourceTag/Team': 'x' }), true)
  assert.equal(holds({ StringEquals: { 'acs:ResourceTag/team': 'x' } }, { 'acs:ResourceTag/Team': 'x' }), false)
})

test('no condition always holds', () => assert.equal(parseConditions(undefined, assert.fail).length, 0))
