import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError, ERRORS } from '#base/errors.ts'
import type { ErrorCode, ErrorKind } from '#base/errors.ts'
import { OPERATIONS } from '#contract/operations.ts'
import { toErrorAnswer } from './errors.ts'

const PLACE = { requestId: 'R-1', host: 'tintype.example:8080' }
const { GetInstanceSnapshot, GetUser, CreateRegistry } = OPERATIONS

/** One code of each kind: the status and code for PAI-DSW, for RAM, and for our own operations. */
const KINDS: Readonly<Record<ErrorKind, readonly [ErrorCode, string, string, string]>> = {
  invalid: ['request_invalid', '400 ValidationError', '400 InvalidParameter', '400 ValidationError'],
  not_found: ['instance_not_found', '404 ValidationError', '404 EntityNotExist', '404 ValidationError'],
  conflict: ['name_taken', '400 ValidationError', '409 EntityAlreadyExists', '409 Conflict'],
  unsupported: ['image_unsupported', '400 ValidationError', '400 ValidationError', '400 ValidationError'],
  denied: ['permission_denied', '403 NoPermission', '403 NoPermission', '403 NoPermission'],
  throttled: ['rate_exceeded', '429 Throttling.User', '429 Throttling.User', '429 Throttling.User'],
  registry: ['registry_refused', '400 ValidationError', '400 ValidationError', '502 RegistryError'],
  unavailable: ['engine_unavailable', '503 ServiceUnavailable', '503 ServiceUnavailable', '503 ServiceUnavailable'],
  no_space: ['spool_full', '503 ServiceUnavailable', '503 ServiceUnavailable', '503 ServiceUnavailable'],
  cancelled: ['cancelled', '503 ServiceUnavailable', '503 ServiceUnavailable', '503 ServiceUnavailable'],
  internal: ['internal', '500 InternalError', '500 InternalError', '500 InternalError'],
}
for (const [kind, [code, ...wanted]] of Object.entries(KINDS)) {
  test(`an error of the kind ${kind}`, () => {
    assert.equal(ERRORS[code].kind, kind)
    const said = [GetInstanceSnapshot, GetUser, CreateRegistry].map((operation) => {
      const answer = toErrorAnswer(new AppError(code, 'It is so.'), { ...PLACE, operation })
      assert.equal(answer.body['Code'], answer.code)
      return `${answer.status} ${answer.code}`
    })
    assert.deepEqual(said, wanted)
  })
}

test('gateway fields and envelope are in one body (dsw-api §9 row 1)', () => {
  const error = new AppError('snapshot_not_found', 'There is no snapshot snp-1.')
  assert.deepEqual(toErrorAnswer(error, { ...PLACE, operation: GetInstanceSnapshot }).body, {
    RequestId: 'R-1',
    HostId: 'tintype.example:8080',
    Code: 'ValidationError',
    Message: 'There is no snapshot snp-1.',
    Recommend: '/openapi.json',
    Success: false,
    HttpStatusCode: 404,
  })
})

test('a documented code that an area names goes before the usual one', () => {
  const details = { wireCode: 'EntityNotExist.User' }
  const answer = toErrorAnswer(new AppError('identity_not_found', 'No.', { details }), { ...PLACE, operation: GetUser })
  assert.deepEqual([answer.status, answer.code], [404, 'EntityNotExist.User'])
})

for (const thrown of [
  new TypeError('x.y is undefined'),
  'text',
  undefined,
  new AppError('internal', 'disk 7 is odd'),
]) {
  test(`nothing of the inside is told: ${String(thrown)}`, () => {
    const { status, body } = toErrorAnswer(thrown, PLACE)
    assert.equal(status, 500)
    assert.doesNotMatch(JSON.stringify(body), /undefined|disk 7|text/)
    assert.match(String(body['Message']), /R-1/)
  })
}

const library = (code: string, statusCode: number) => Object.assign(new Error('of the library'), { code, statusCode })
const FROM_LIBRARY: readonly (readonly [string, Error, number, string])[] = [
  ['a body that is too long', library('FST_ERR_CTP_BODY_TOO_LARGE', 413), 413, 'RequestEntityTooLarge'],
  ['a content type that is none', library('FST_ERR_CTP_INVALID_MEDIA_TYPE', 415), 400, 'ValidationError'],
  ['a path that is none', library('FST_ERR_BAD_URL', 400), 400, 'ValidationError'],
  ['a mistake of ours', library('FST_ERR_REP_ALREADY_SENT', 500), 500, 'InternalError'],
]
for (const [name, error, status, code] of FROM_LIBRARY) {
  test(`what the HTTP library refuses: ${name}`, () => {
    const answer = toErrorAnswer(error, PLACE)
    assert.deepEqual([answer.status, answer.code], [status, code])
  })
}

test('a method that a path has not: 405, with those that it has', () => {
  const details = { wireCode: 'InvalidAction.NotFound', methods: ['GET', 'POST'] }
  const answer = toErrorAnswer(new AppError('operation_not_found', 'No.', { details }), PLACE)
  assert.deepEqual([answer.status, answer.code, answer.headers['allow']], [405, 'InvalidAction.NotFound', 'GET, POST'])
})

test('SDKs read how long to wait', () => {
  const details = { wireCode: 'Throttling.User', limit: 100, timeLeftMs: 17 }
  const { status, headers } = toErrorAnswer(new AppError('rate_exceeded', 'Too often.', { details }), PLACE)
  assert.deepEqual([status, headers['x-ratelimit-user-api']], [429, 'Limit:100,Remain:0,TimeLeft:17'])
  assert.equal(headers['x-acs-retry-after'], '17')
})
