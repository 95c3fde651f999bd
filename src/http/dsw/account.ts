import type { Action, QueryOf } from '#contract/operations.ts'
import type { AnyRoute, Call } from '#http/route.ts'
import { route } from '#http/route.ts'
import type { OfferedSize } from '#service/instances/specs.ts'
import { makeToken } from '#service/instances/tokens.ts'
import { instanceOfCommand, userCommandId } from './instance-wire.ts'
import { allInstancesArn, dswArn, instanceArn, viewerOf, type DswParts, OPEN } from './scope.ts'

const GIB = 2 ** 30

/** What there is to be had, tokens, and numbers over many instances. */
export function accountRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'ListEcsSpecs',
      resource: ({ caller }) => dswArn(parts, caller, 'ecsspec/*'),
      async handle({ query }) {
        const sizes = await instances.listSizes(query.AcceleratorType)
        const ordered = query.Order === 'DESC' ? sizes.toReversed() : sizes
        const from = (query.PageNumber - 1) * query.PageSize
        return { EcsSpecs: ordered.slice(from, from + query.PageSize).map(writeSize), TotalCount: sizes.length }
      },
    }),
    route({
      action: 'GetUserConfig',
      resource: ({ caller }) => dswArn(parts, caller, 'userconfig/*'),
      handle: async () => ({
        AccountSufficient: true,
        EnableEciDisk: false,
        FreeTier: { IsFreeTierUser: false },
        FreeTierSpecAvailable: false,
      }),
    }),
    ...tokenRoutes(parts),
    ...statisticsRoutes(parts),
  ]
}

const writeSize = (size: OfferedSize) => ({
  AcceleratorType: size.gpu > 0 ? 'GPU' : 'CPU',
  CPU: size.cpu,
  Currency: 'CNY',
  GPU: size.gpu,
  ...(size.gpu > 0 && { GPUMemorySize: size.gpuMemoryGib, GPUType: size.gpuType }),
  InstanceType: size.name,
  IsAvailable: size.isAvailable,
  Labels: [],
  Memory: size.memoryGib,
  Price: 0,
  SpotStockStatus: size.isAvailable ? 'WithStock' : 'NoStock',
})

function tokenRoutes(parts: DswParts): readonly AnyRoute[] {
  const { instances } = parts
  return [
    route({
      action: 'GetToken',
      resource: (call) => instanceArn(parts, call, call.query.InstanceId),
      async handle(call) {
        const { InstanceId: instanceId, Type: type = 'Access', ExpireTime: expireSeconds } = call.query
        const viewer = await viewerOf(parts, call, instanceId)
        if (type === 'Access') call.check(OPEN, await instanceArn(parts, call, instanceId))
        return { Token: await makeToken(instances.parts, { instanceId, type, expireSeconds }, viewer) }
      },
    }),
    route({
      action: 'GetUserCommand',
      resource: (call) => instanceArn(parts, call, commandOf(call), call.query.Token),
      async handle(call) {
        const id = commandOf(call)
        const details = await instances.get(id, await viewerOf(parts, call, id), call.query.Token)
        return { UserCommandId: userCommandId(id), OnStart: { Content: details.private.onStart ?? '' } }
      },
    }),
  ]
}

/** The id in the query goes before the one in the path (dsw-api §1.7). */
const commandOf = ({ params, query }: Call<'GetUserCommand'>) =>
  query.InstanceId || instanceOfCommand(params.UserCommandId)

function statisticsRoutes(parts: DswParts): readonly AnyRoute[] {
  const { store } = parts.instances.parts
  return [
    route({
      action: 'ListInstanceStatistics',
      resource: (call) => allInstancesArn(parts, call, onlyOf(call.query)),
      async handle(call) {
        const statistics: Record<string, Record<string, number>> = {}
        for (const workspaceId of workspacesOf(call.query)) {
          const rows = await store.instances.statistics([workspaceId], countedFor(parts, call, workspaceId))
          statistics[workspaceId] = Object.fromEntries(rows.map(({ status, total }) => [status, Number(total)]))
        }
        return { Statistics: statistics }
      },
    }),
    route({
      action: 'GetResourceGroupStatistics',
      resource: (call) => allInstancesArn(parts, call, onlyOf(call.query)),
      async handle(call) {
        const statistics: Record<string, Record<string, number>> = {}
        for (const workspaceId of workspacesOf(call.query)) {
          const visibleTo = countedFor(parts, call, workspaceId)
          const used = await store.instances.usedOf(call.query.ResourceId, workspaceId, visibleTo)
          const { instances: Instances, cpuMilli, memoryBytes, gpuCount: GPU } = used
          statistics[workspaceId] = { Instances, CPU: cpuMilli / 1000, Memory: memoryBytes / GIB, GPU }
        }
        return { Statistics: statistics }
      },
    }),
  ]
}

/** Whose instances are counted beside the public ones; undefined: all (dsw-api §1.7). Throws `not_permitted`. */
function countedFor(
  parts: DswParts,
  call: Pick<Call<Action>, 'caller' | 'may' | 'check' | 'operation'>,
  workspaceId: string,
) {
  const arn = allInstancesArn(parts, call, workspaceId)
  call.check(call.operation.ram, arn) // who may ask for several may still not ask for this one
  const right = { action: 'paidsw:ListAllInstanceStatistics', aliases: ['paidsw:ListAllInstances'] }
  return call.may(right, arn) ? undefined : call.caller.ownerId
}

type WorkspaceQuery = Pick<QueryOf<'ListInstanceStatistics'>, 'WorkspaceIds'>

const workspacesOf = ({ WorkspaceIds }: WorkspaceQuery) => [
  ...new Set(WorkspaceIds.split(',').flatMap((id) => (id.trim() === '' ? [] : [id.trim()]))),
]

/** The workspace, where one alone is asked for; of several, the right to all is needed. */
function onlyOf(query: WorkspaceQuery): string {
  const [first = '*', ...others] = workspacesOf(query)
  return others.length === 0 ? first : '*'
}
