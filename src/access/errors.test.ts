import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERRORS } from '#base/errors.ts'
import { ACCESS_CODES } from './errors.ts'

test('the codes of the wire, as they are documented', () => {
  const rows = Object.values(ACCESS_CODES).map(({ code, status }) => `${code} ${status}`)
  const documented = [
    'InvalidAccessKeyId.NotFound 404',
    'InvalidAccessKeyId.Inactive 400',
    'SignatureDoesNotMatch 400',
    'IncompleteSignature 400',
    'InvalidTimeStamp.Format 400',
    'InvalidTimeStamp.Expired 400',
    'SignatureNonceUsed 400',
    'MissingSecurityToken 400',
    'InvalidSecurityToken.Expired 400',
    'InvalidSecurityToken.MismatchWithAccessKey 400',
    'InvalidSecurityToken.Malformed 400',
    'NoPermission 403',
    'MalformedPolicyDocument 400',
  ]
  for (const row of documented) assert.ok(rows.includes(row), row)
})

test('nothing that goes wrong here is worth trying again', () => {
  for (const code of Object.keys(ACCESS_CODES) as (keyof typeof ACCESS_CODES)[]) {
    assert.equal(ERRORS[code].retry, false, code)
    assert.ok(['invalid', 'denied'].includes(ERRORS[code].kind), code)
  }
})
