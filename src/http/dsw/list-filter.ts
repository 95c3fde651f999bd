import { AppError } from '#base/errors.ts'
import type { QueryOf } from '#contract/operations.ts'
import { DEFAULT_WORKSPACE } from '#service/workspace.ts'
import type { InstanceFilter, InstancePage, Range } from '#store/instance-list.ts'
import { pairsOf } from './instance-draft.ts'
import { timeOf } from './scope.ts'

type Query = QueryOf<'ListInstances'>

const GIB = 2 ** 30
/** Thousandths: what Min/MaxGpu count, while instances have whole GPUs. */
const MILLI = 1000
const COLUMNS = { Priority: 'priority', GmtCreateTime: 'createdMs', GmtModifiedTime: 'modifiedMs' } as const
const ALL = 'ALL'
/** No quota is oversold here. Who asks for another kind of instance asks for none. */
const OVERSOLD = 'ForbiddenQuotaOverSold'

/** How policies name them. */
export const ALL_WORKSPACES = '*'

/** The workspace that the list is of, or ALL_WORKSPACES. */
export function workspaceOf({ WorkspaceId: id }: Query): string {
  if (id === ALL) return ALL_WORKSPACES
  return id === undefined || id === '' ? DEFAULT_WORKSPACE : id
}

/** What ListInstances is narrowed by. Undefined: by something that no instance has. */
export function filterOf(query: Query): Omit<InstanceFilter, 'visibleTo'> | undefined {
  if (query.OversoldInfo !== undefined && query.OversoldInfo !== OVERSOLD) return undefined
  const workspaceId = workspaceOf(query)
  const labels = new Map(Object.entries(query.Labels ?? {}).map(([key, value]) => [key, String(value)]))
  const tags = pairsOf(query.Tag)
  return drop({
    workspaceId: workspaceId === ALL_WORKSPACES ? undefined : workspaceId,
    ...resourceOf(query),
    instanceIds: idsOf(query.InstanceId),
    userId: query.CreateUserId || undefined,
    status: query.Status,
    accessibility: query.Accessibility,
    acceleratorType: query.AcceleratorType,
    gpuType: query.GpuType || undefined,
    oversoldType: query.OversoldType,
    nameContains: query.InstanceName || undefined,
    imageNameContains: query.ImageName || undefined,
    cpuMilli: rangeOf(query.MinCpu, query.MaxCpu, 1),
    gpuCount: rangeOf(query.MinGpu, query.MaxGpu, 1 / MILLI),
    memoryBytes: rangeOf(query.MinMemory, query.MaxMemory, GIB),
    gpuMemoryBytes: rangeOf(query.MinGpuMemory, query.MaxGpuMemory, GIB),
    createdMs: createdOf(query),
    labels: labels.size === 0 ? undefined : labels,
    tags: tags.size === 0 ? undefined : tags,
  })
}

/** Both or none of SortBy and Order; the newest first where none is given (dsw-api §9 row 14). */
export function pageOf({ SortBy, Order, PageNumber, PageSize }: Query): InstancePage {
  if ((SortBy === undefined) !== (Order === undefined)) {
    const field = SortBy === undefined ? 'SortBy' : 'Order'
    throw new AppError('parameter_invalid', `${field} is missing: give SortBy and Order together.`, {
      details: { field },
    })
  }
  const place = { offset: (PageNumber - 1) * PageSize, limit: PageSize }
  if (!Number.isSafeInteger(place.offset))
    throw new AppError('parameter_invalid', 'PageNumber is too large: no list has so many pages.', {
      details: { field: 'PageNumber' },
    })
  return { ...place, sortBy: COLUMNS[SortBy ?? 'GmtCreateTime'], order: Order === 'ASC' ? 'asc' : 'desc' }
}

/** No ResourceId: pay-as-you-go only; `ALL`: every one; else the instances of that group. */
function resourceOf({ ResourceId: id, PaymentType: paymentType }: Query) {
  if (id === ALL) return { paymentType }
  if (id !== undefined && id !== '') return { resourceId: id, paymentType }
  return { paymentType: paymentType ?? ('PayAsYouGo' as const) }
}

const idsOf = (text: string | undefined) => {
  const ids = (text ?? '').split(',').flatMap((id) => (id.trim() === '' ? [] : [id.trim()]))
  return ids.length === 0 ? undefined : ids
}

function rangeOf(min: string | undefined, max: string | undefined, unit: number): Range | undefined {
  // What is compared is whole, and PostgreSQL takes nothing else.
  const bound = (text: string | undefined, round: (value: number) => number) =>
    text === undefined || text === '' ? undefined : Math.min(round(Number(text) * unit), Number.MAX_SAFE_INTEGER)
  const range = drop({ min: bound(min, Math.ceil), max: bound(max, Math.floor) })
  return Object.keys(range).length === 0 ? undefined : range
}

/** Wire times are whole seconds: all of the last one belongs to it. */
function createdOf({ CreateTimeAfter, CreateTimeBefore }: Query): Range | undefined {
  const before = timeOf(CreateTimeBefore)
  const range = drop({ min: timeOf(CreateTimeAfter), max: before === undefined ? undefined : before + 999 })
  return Object.keys(range).length === 0 ? undefined : range
}

type Given<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> }

/** Without the fields that are undefined. */
const drop = <T extends object>(fields: T): Given<T> =>
  parseGiven(Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)))
const parseGiven = <T>(fields: object) => fields as Given<T>
