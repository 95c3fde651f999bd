import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QueryOf } from '#contract/operations.ts'
import { filterOf, pageOf, workspaceOf } from './list-filter.ts'

const PAGE = { PageNumber: 1, PageSize: 10 }
const filter = (query: Partial<QueryOf<'ListInstances'>>) => filterOf({ ...PAGE, ...query })
const DEFAULTS = { workspaceId: '1', paymentType: 'PayAsYouGo' }

for (const [query, expected, reason] of [
  [{}, DEFAULTS, 'the default workspace, pay-as-you-go'],
  [{ ResourceId: 'ALL' }, { workspaceId: '1' }, 'ALL means however it is paid'],
  [{ ResourceId: 'rg-1' }, { workspaceId: '1', resourceId: 'rg-1' }, 'a resource group'],
  [{ WorkspaceId: 'ALL' }, { paymentType: 'PayAsYouGo' }, 'all workspaces'],
  [{ InstanceId: 'dsw-a, dsw-b,' }, { ...DEFAULTS, instanceIds: ['dsw-a', 'dsw-b'] }, 'a list of ids'],
  [{ InstanceName: '' }, DEFAULTS, 'an empty text is no filter'],
  [{ MinCpu: '2000', MaxCpu: '4000' }, { ...DEFAULTS, cpuMilli: { min: 2000, max: 4000 } }, 'thousandths of a core'],
  [{ MinGpu: '1000' }, { ...DEFAULTS, gpuCount: { min: 1 } }, 'thousandths of a GPU'],
  [{ MaxMemory: '2' }, { ...DEFAULTS, memoryBytes: { max: 2 ** 31 } }, 'gigabytes'],
  [{ CreateTimeBefore: '1970-01-01T00:00:01Z' }, { ...DEFAULTS, createdMs: { max: 1999 } }, 'all of the last second'],
  [{ Labels: { a: 'b' } }, { ...DEFAULTS, labels: new Map([['a', 'b']]) }, 'labels'],
  [{ OversoldInfo: 'ForbiddenQuotaOverSold' }, DEFAULTS, 'nothing is oversold'],
  [{ OversoldInfo: 'ForceQuotaOverSold' }, undefined, 'what no instance is'],
] as const)
  test(`ListInstances is narrowed: ${reason}`, () => assert.deepEqual(filter(query), expected))

test('SortBy and Order come together, the newest first without them', () => {
  assert.deepEqual(pageOf({ PageNumber: 3, PageSize: 10 }), {
    sortBy: 'createdMs',
    order: 'desc',
    offset: 20,
    limit: 10,
  })
  assert.equal(pageOf({ ...PAGE, SortBy: 'Priority', Order: 'ASC' }).sortBy, 'priority')
  assert.throws(() => pageOf({ ...PAGE, SortBy: 'Priority' }), { details: { field: 'Order' } })
  assert.throws(() => pageOf({ ...PAGE, Order: 'ASC' }), { details: { field: 'SortBy' } })
  assert.throws(() => pageOf({ PageNumber: Number.MAX_SAFE_INTEGER, PageSize: 100 }), {
    details: { field: 'PageNumber' },
  })
  assert.equal(workspaceOf({ ...PAGE, WorkspaceId: 'ALL' }), '*')
})
