import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { openRouter } from './router.ts'

const V2 = '2022-01-01'
const router = openRouter([
  { action: 'ListInstances', version: V2, method: 'GET', path: '/api/v2/instances' },
  { action: 'CreateInstance', version: V2, method: 'POST', path: '/api/v2/instances' },
  { action: 'GetInstance', version: V2, method: 'GET', path: '/api/v2/instances/{InstanceId}' },
  { action: 'GetSnapshot', version: V2, method: 'GET', path: '/api/v2/instances/{InstanceId}/snapshots/{SnapshotId}' },
  { action: 'GetLatest', version: V2, method: 'GET', path: '/api/v2/instances/{InstanceId}/snapshots/latest' },
  {
    action: 'RemoveLabel',
    version: '2021-02-04',
    method: 'DELETE',
    path: '/api/v1/images/{ImageId}/labels/{LabelKey}',
  },
  { action: 'CreateUser', version: '2015-05-01', method: 'POST', path: '/' },
  { action: 'AssumeRole', version: '2015-04-01', method: 'POST', path: '/' },
])

const find = (line: string, named: { action?: string; version?: string } = {}) => {
  const [method = '', path = ''] = line.split(' ')
  return router.find({ method, path, ...named })
}

const FOUND: readonly (readonly [string, string, { action?: string; version?: string }, string, object])[] = [
  ['a path without parameters', 'GET /api/v2/instances', {}, 'ListInstances', {}],
  ['the method tells two operations of a path apart', 'POST /api/v2/instances', {}, 'CreateInstance', {}],
  ['a parameter', 'GET /api/v2/instances/dsw-1', {}, 'GetInstance', { InstanceId: 'dsw-1' }],
  [
    'two parameters',
    'GET /api/v2/instances/dsw-1/snapshots/snp-2',
    { action: 'GetSnapshot', version: V2 },
    'GetSnapshot',
    { InstanceId: 'dsw-1', SnapshotId: 'snp-2' },
  ],
  [
    'a fixed word goes before a parameter',
    'GET /api/v2/instances/a/snapshots/latest',
    {},
    'GetLatest',
    { InstanceId: 'a' },
  ],
  [
    'an encoded slash parts nothing and is decoded',
    'DELETE /api/v1/images/image-1/labels/a%2Fb%20c',
    {},
    'RemoveLabel',
    { ImageId: 'image-1', LabelKey: 'a/b c' },
  ],
  ['dots are a value like any other', 'GET /api/v2/instances/..', {}, 'GetInstance', { InstanceId: '..' }],
  [
    'encoded dots and slashes stay one value',
    'GET /api/v2/instances/%2e%2e%2fetc',
    {},
    'GetInstance',
    { InstanceId: '../etc' },
  ],
  ['RPC goes by action and version', 'POST /', { action: 'CreateUser', version: '2015-05-01' }, 'CreateUser', {}],
  ['RPC by GET', 'GET /', { action: 'AssumeRole', version: '2015-04-01' }, 'AssumeRole', {}],
]
for (const [name, line, named, action, params] of FOUND) {
  test(`found: ${name}`, () => {
    const found = find(line, named)
    assert.deepEqual([found.operation.action, found.params], [action, params])
  })
}

const REFUSED: readonly (readonly [string, string, { action?: string; version?: string }, string, RegExp])[] = [
  ['a path of nobody', 'GET /api/v3/instances', {}, 'InvalidAction.NotFound', /\/api\/v3\/instances/],
  ['a trailing slash', 'GET /api/v2/instances/', {}, 'InvalidAction.NotFound', /check/],
  ['a doubled slash', 'GET //api/v2/instances', {}, 'InvalidAction.NotFound', /check/],
  ['another casing', 'GET /API/v2/instances', {}, 'InvalidAction.NotFound', /check/],
  ['an encoded letter in a fixed word', 'GET /api/v2/%69nstances', {}, 'InvalidAction.NotFound', /check/],
  ['dots that would climb', 'GET /api/v2/instances/../images', {}, 'InvalidAction.NotFound', /check/],
  ['a method that the path has not', 'PATCH /api/v2/instances', {}, 'InvalidAction.NotFound', /GET, POST/],
  [
    'an action of another path',
    'GET /api/v2/instances',
    { action: 'GetInstance' },
    'InvalidAction.NotFound',
    /GetInstance/,
  ],
  [
    'an action in another casing',
    'GET /api/v2/instances',
    { action: 'listinstances' },
    'InvalidAction.NotFound',
    /listin/,
  ],
  ['another version', 'GET /api/v2/instances', { version: '2021-02-04' }, 'InvalidVersion', /2022-01-01/],
  ['RPC without an action', 'POST /', {}, 'InvalidAction.NotFound', /POST/],
  ['RPC without a version', 'POST /', { action: 'CreateUser' }, 'InvalidVersion', /none/],
  ['RPC of another version', 'POST /', { action: 'AssumeRole', version: '2015-05-01' }, 'InvalidVersion', /2015-04-01/],
  [
    'RPC with another method',
    'PUT /',
    { action: 'AssumeRole', version: '2015-04-01' },
    'InvalidAction.NotFound',
    /GET, POST/,
  ],
]
for (const [name, line, named, wireCode, message] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => find(line, named),
      (error) => error instanceof AppError && error.details['wireCode'] === wireCode && message.test(error.message),
    )
  })
}

test('refused: bytes that are no UTF-8', () => {
  assert.throws(() => find('GET /api/v2/instances/%ff'), { code: 'request_invalid' })
  assert.throws(() => find('GET /api/v2/instances/%2'), { code: 'request_invalid' })
})
