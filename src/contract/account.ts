import { dsw } from './operation.ts'
import { anything, decimal, fields, flag, int32, int64, listed, map, oneOf, said, text } from './schema.ts'
import { id, labels, order, page64, time } from './shapes.ts'

/** A day: longer than anyone keeps a link open. */
const TOKEN_SECONDS = 86400
const workspaceIds = () => text({ min: 1 })
const statistics = () => fields({ Statistics: map(map(anything())) })

/** What the caller's account has and may use. */
export const accountOperations = {
  ListEcsSpecs: dsw('ListEcsSpecs', 'GET', '/api/v2/ecsspecs', {
    summary: 'The sizes that an instance can have.',
    query: fields(
      { Order: order(), ResourceType: text(), SortBy: text() },
      { AcceleratorType: oneOf('CPU', 'GPU'), ...page64() },
    ),
    response: fields({
      EcsSpecs: listed(
        fields({
          AcceleratorType: said(),
          CPU: int64(),
          Currency: said(),
          GPU: int64(),
          GPUMemorySize: decimal('float'),
          GPUType: said(),
          InstanceBandwidthRx: int64(),
          InstanceType: said(),
          IsAvailable: flag(),
          Labels: labels(),
          Memory: decimal('float'),
          Price: decimal('double'),
          SpotStockStatus: said(),
          SystemDiskCapacity: int64(),
        }),
      ),
      TotalCount: int64(),
    }),
    ram: { defaultAllow: true },
  }),
  GetToken: dsw('GetToken', 'GET', '/api/v2/tokens', {
    summary: 'A token that opens an instance (Access) or shows it (View).',
    query: fields(
      { Audience: text(), ExpireTime: int32({ min: 1, max: TOKEN_SECONDS }), Type: oneOf('Access', 'View') },
      { InstanceId: text({ min: 1, max: 256 }) },
    ),
    response: fields({ Token: said() }),
    envelope: 'noStatus',
    isChange: true,
  }),
  GetUserConfig: dsw('GetUserConfig', 'GET', '/api/v2/userconfig', {
    summary: 'What the account is entitled to.',
    response: fields({
      AccountSufficient: flag(),
      EnableEciDisk: flag(),
      FreeTier: fields({
        EndTime: said(),
        InitBaseUnit: said(),
        InitBaseValue: decimal('double'),
        InitShowUnit: said(),
        InitShowValue: said(),
        IsFreeTierUser: flag(),
        PeriodBaseUnit: said(),
        PeriodBaseValue: decimal('double'),
        PeriodShowUnit: said(),
        PeriodShowValue: said(),
        StartTime: said(),
        Status: said(),
      }),
      FreeTierSpecAvailable: flag(),
    }),
    ram: { defaultAllow: true },
  }),
  GetUserCommand: dsw('GetUserCommand', 'GET', '/api/v2/usercommands/{UserCommandId}', {
    summary: 'The command that an instance runs at every start.',
    query: fields({ InstanceId: id(), Token: text({ secret: true }) }),
    response: fields({
      OnStart: fields({ Content: said() }),
      UserCommandId: said(),
      accessDeniedDetail: map(anything()),
    }),
    envelope: 'noStatus',
  }),
  ListInstanceStatistics: dsw('ListInstanceStatistics', 'GET', '/api/v2/instancestatistics', {
    summary: 'How many instances each workspace has, by status.',
    query: fields({}, { WorkspaceIds: workspaceIds() }),
    response: statistics(),
  }),
  GetResourceGroupStatistics: dsw('GetResourceGroupStatistics', 'GET', '/api/v2/resourcegroupstatistics', {
    summary: 'How much of a resource group the instances of each workspace use.',
    query: fields(
      {},
      { EndTime: time(), ResourceId: text({ min: 1, max: 256 }), StartTime: time(), WorkspaceIds: workspaceIds() },
    ),
    response: statistics(),
  }),
} as const
