import { encodeArn } from '#access/arn.ts'
import type { Caller } from '#access/caller.ts'
import type { Call } from '#http/route.ts'
import type { Action } from '#contract/operations.ts'
import { canSee } from '#service/instances/find.ts'
import { notFound } from '#service/instances/change.ts'
import type { Instances } from '#service/instances/instances.ts'
import type { Viewer } from '#service/instances/parts.ts'
import { readViewToken } from '#service/instances/tokens.ts'
import { DEFAULT_WORKSPACE } from '#service/workspace.ts'

/** What all routes of PAI-DSW need. */
export interface DswParts {
  readonly instances: Instances
  /** TINTYPE_REGION */
  readonly region: string
}

type Asking = Pick<Call<Action>, 'caller' | 'may' | 'operation'>

/** The right to see, and by other rights to change, what is private to others. */
const SEE_ALL = { action: 'paidsw:ListAllInstances' }

/** The right to a notebook itself: a permission of its own, that goes with no operation (dsw-api §1.7). */
export const OPEN = { action: 'paidsw:OpenInstance' }

/** `acs:paidsw:REGION:ACCOUNT:workspace/WS/…` (dsw-api §9 row 18). */
export function dswArn({ region }: Pick<DswParts, 'region'>, { accountId }: Caller, path: string): string {
  return encodeArn({ service: 'paidsw', region, accountId, relativeId: path })
}

/** An instance, or with `*` all of a workspace. */
export const instancePath = (workspaceId: string, instanceId: string) =>
  `workspace/${workspaceId}/dswinstance/${instanceId}`

/** The caller, as one who looks at what is in a workspace. `*`: in all of them. */
export async function viewerIn(
  parts: Pick<DswParts, 'region'>,
  call: Pick<Asking, 'caller' | 'may'>,
  workspaceId: string,
): Promise<Viewer> {
  const seesAll = call.may(SEE_ALL, dswArn(parts, call.caller, instancePath(workspaceId, '*')))
  const mayOpen: Viewer['mayOpen'] = (instance) =>
    call.may(OPEN, dswArn(parts, call.caller, instancePath(instance.workspaceId, instance.instanceId)))
  return { userId: call.caller.ownerId, seesAll, mayOpen }
}

/**
 * The caller, as one who looks through all workspaces, and the workspaces where that is not all: what is denied in one of
 * them is denied whichever way it is asked for, and what is private there is seen in all or in none.
 */
export async function viewerInAll(
  parts: DswParts,
  call: Asking,
): Promise<{ readonly viewer: Viewer; readonly workspaceIds?: readonly string[] }> {
  const arnOf = (workspaceId: string) => allInstancesArn(parts, call, workspaceId)
  const all = await parts.instances.parts.store.instances.workspaces()
  const permitted = all.filter((workspaceId) => call.may(call.operation.ram, arnOf(workspaceId)))
  const anywhere = await viewerIn(parts, call, '*')
  const seesEach = anywhere.seesAll && permitted.every((workspaceId) => call.may(SEE_ALL, arnOf(workspaceId)))
  return {
    viewer: { ...anywhere, seesAll: seesEach },
    ...(permitted.length < all.length && { workspaceIds: permitted }),
  }
}

/** The caller, as one who looks at this instance; like nobody in particular where there is none. */
export async function viewerOf(parts: DswParts, call: Asking, instanceId: string): Promise<Viewer> {
  const record = await parts.instances.parts.store.instances.findOwner(instanceId)
  return viewerIn(parts, call, record?.workspaceId ?? DEFAULT_WORKSPACE)
}

/**
 * The ARN of an instance. Throws `instance_not_found` when the caller may not even know of it; whoever has a View token
 * for it may.
 */
export async function instanceArn(
  parts: DswParts,
  call: Asking,
  instanceId: string,
  viewToken?: string,
): Promise<string> {
  const { instances } = parts
  const record = await instances.parts.store.instances.findOwner(instanceId)
  if (!record) throw notFound(instanceId)
  const isShared = viewToken !== undefined && readViewToken(instances.parts, viewToken) === instanceId
  if (!isShared && !canSee(record, await viewerIn(parts, call, record.workspaceId))) throw notFound(instanceId)
  return dswArn(parts, call.caller, instancePath(record.workspaceId, instanceId))
}

/**
 * Of several instances, each of which is decided on its own later: the first one that the caller has the right on, or else the
 * first that it may know of; without one, there is nothing to decide on.
 */
export async function firstArn(parts: DswParts, call: Asking, instanceIds: readonly string[] = []): Promise<string> {
  let known: string | undefined
  for (const instanceId of instanceIds) {
    const record = await parts.instances.parts.store.instances.findOwner(instanceId)
    if (!record || !canSee(record, await viewerIn(parts, call, record.workspaceId))) continue
    const arn = dswArn(parts, call.caller, instancePath(record.workspaceId, instanceId))
    if (call.may(call.operation.ram, arn)) return arn
    known ??= arn
  }
  return known ?? allInstancesArn(parts, call, undefined)
}

/** The ARN of all instances of a workspace. */
export function allInstancesArn(
  parts: DswParts,
  { caller }: Pick<Asking, 'caller'>,
  workspaceId: string | undefined,
): string {
  return dswArn(parts, caller, instancePath(workspaceId || DEFAULT_WORKSPACE, '*'))
}

/** A time of a request, in milliseconds since 1970. The contract has checked its form. */
export function timeOf(text: string | undefined): number | undefined {
  return text === undefined || text === '' ? undefined : Date.parse(text)
}
