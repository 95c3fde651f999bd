import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { accountArn, assumedRoleArn, encodeArn, parseArn, roleArn, roleSessionArn, userArn } from './arn.ts'

test('an ARN has five parts; the last one may have colons', () => {
  const arn = parseArn('acs:paidsw:cn-hangzhou:123:workspace/1/dswinstance/dsw-1')
  const relativeId = 'workspace/1/dswinstance/dsw-1'
  assert.deepEqual(arn, { service: 'paidsw', region: 'cn-hangzhou', accountId: '123', relativeId })
  assert.equal(parseArn('acs:ram::123:a:b').relativeId, 'a:b')
})

const BAD: readonly (readonly [reason: string, text: string])[] = [
  ['nothing', ''],
  ['everything', '*'],
  ['another prefix', 'arn:aws:iam::123:user/a'],
  ['four parts', 'acs:ram::123'],
  ['no service', 'acs:::123:user/a'],
  ['no id', 'acs:ram::123:'],
]
for (const [reason, text] of BAD)
  test(`no ARN: ${reason}`, () => assert.throws(() => parseArn(text), { code: 'arn_invalid' }))

test('what is encoded is parsed again', () => {
  const part = fc.stringMatching(/^[a-z0-9*-]{0,8}$/)
  const arns = fc.record({
    service: part.filter((text) => text !== ''),
    region: part,
    accountId: part,
    relativeId: fc.stringMatching(/^[a-z0-9/:*-]{1,20}$/),
  })
  fc.assert(fc.property(arns, (arn) => assert.deepEqual(parseArn(encodeArn(arn)), { ...arn })))
})

test('the names of RAM', () => {
  assert.equal(accountArn('1'), 'acs:ram::1:root')
  assert.equal(userArn('1', 'alice'), 'acs:ram::1:user/alice')
  assert.equal(roleArn('1', 'ops'), 'acs:ram::1:role/ops')
  assert.equal(assumedRoleArn('1', 'ops', 's'), 'acs:ram::1:assumed-role/ops/s')
  assert.equal(roleSessionArn('1', 'ops', 's'), 'acs:ram::1:role/ops/s')
})
