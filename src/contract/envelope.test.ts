import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorEnvelope, successEnvelope } from './envelope.ts'
import type { WireError } from './envelope.ts'
import { OPERATIONS } from './operations.ts'

const REQUEST_ID = 'E7D55162-4489-1619-AAF5-3F97D5FCA948'
const ERROR: WireError = {
  code: 'ValidationError',
  message: 'SnapshotName is missing; it is required.',
  status: 400,
  requestId: REQUEST_ID,
  hostId: 'tintype.example',
  recommend: 'https://tintype.example/errors',
}
const GATEWAY = {
  RequestId: REQUEST_ID,
  HostId: 'tintype.example',
  Code: 'ValidationError',
  Message: 'SnapshotName is missing; it is required.',
  Recommend: 'https://tintype.example/errors',
}

const successes = [
  [
    'a snapshot operation has all five fields, with null where nothing went wrong',
    OPERATIONS.CreateInstanceSnapshot,
    { RequestId: REQUEST_ID, Success: true, Code: null, Message: null, HttpStatusCode: 200, TotalCount: 1 },
  ],
  [
    'a culler operation has no HttpStatusCode',
    OPERATIONS.GetIdleInstanceCuller,
    { RequestId: REQUEST_ID, Success: true, Code: null, Message: null, TotalCount: 1 },
  ],
  ['an image operation has the RequestId only', OPERATIONS.ListImages, { RequestId: REQUEST_ID, TotalCount: 1 }],
  [
    'a sanity check has its request id in lower case',
    OPERATIONS.GetSanityCheckTask,
    { requestId: REQUEST_ID, TotalCount: 1 },
  ],
  ['a log has nothing', OPERATIONS.ListSystemLogs, { TotalCount: 1 }],
] as const
for (const [reason, operation, expected] of successes) {
  test(`success: ${reason}`, () => {
    assert.deepEqual(successEnvelope(operation, { TotalCount: 1 }, REQUEST_ID), expected)
  })
}

const failures = [
  [
    'a snapshot operation merges the gateway and its envelope',
    OPERATIONS.CreateInstanceSnapshot,
    { ...GATEWAY, Success: false, HttpStatusCode: 400 },
  ],
  ['a culler operation has no HttpStatusCode', OPERATIONS.GetIdleInstanceCuller, { ...GATEWAY, Success: false }],
  ['an image operation has the gateway fields', OPERATIONS.GetImage, GATEWAY],
  ['a RAM operation has the gateway fields', OPERATIONS.CreateUser, GATEWAY],
  [
    'a sanity check has the request id in both casings',
    OPERATIONS.GetSanityCheckTask,
    { ...GATEWAY, requestId: REQUEST_ID },
  ],
  ['what is no operation has the gateway fields', undefined, GATEWAY],
] as const
for (const [reason, operation, expected] of failures) {
  test(`failure: ${reason}`, () => {
    assert.deepEqual(errorEnvelope(operation, ERROR), expected)
  })
}

test('a refusal says who was refused what', () => {
  const detail = { AuthAction: 'paidsw:StopInstance', NoPermissionType: 'ImplicitDeny' }
  const { AccessDeniedDetail } = errorEnvelope(OPERATIONS.StopInstance, { ...ERROR, accessDeniedDetail: detail })
  assert.deepEqual(AccessDeniedDetail, detail)
})

test('what an operation itself answers stands beside the envelope', () => {
  const answer = successEnvelope(OPERATIONS.StopInstances, { InstanceIds: ['dsw-1'] }, REQUEST_ID)
  assert.deepEqual(answer['InstanceIds'], ['dsw-1'])
})
