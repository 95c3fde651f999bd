import type { InstanceRow } from './schema-instances.ts'

/** PAI-DSW's words for the life of an instance; `Saved` and `SaveFailed` stand in the lifecycle only. */
export const INSTANCE_STATUSES = [
  'Creating',
  'ResourceAllocating',
  'Queuing',
  'EnvPreparing',
  'Starting',
  'Running',
  'Recovering',
  'Updating',
  'Saving',
  'Saved',
  'SaveFailed',
  'Stopping',
  'Stopped',
  'Deleting',
  'Failed',
] as const

export type InstanceStatus = (typeof INSTANCE_STATUSES)[number]
/** What a worker must still reach; empty: nothing. */
export type Wanted = '' | 'run' | 'stop' | 'delete'
export type Accessibility = 'PRIVATE' | 'PUBLIC'
export type PaymentType = 'PayAsYouGo' | 'Subscription'

export interface DatasetMount {
  readonly uri: string
  readonly mountPath: string
  readonly access: 'RW' | 'RO'
  /** The directory of the host that `uri` names, after all symbolic links. */
  readonly source: string
}

export interface RequestedResource {
  readonly cpu?: string
  readonly memory?: string
  readonly sharedMemory?: string
  readonly gpu?: string
  readonly gpuType?: string
}

/** What an instance was asked to be, beside what has a column of its own. */
export interface InstanceDocument {
  readonly requested?: RequestedResource
  readonly sharedMemoryBytes?: number
  readonly datasets: readonly DatasetMount[]
  readonly workspaceSource?: string
  /** Where the host reaches it, as it was when it was started last. */
  readonly address?: string
  /** Fields that have no effect here, as they came: answers give them back. */
  readonly echo: Readonly<Record<string, unknown>>
  /** Sealed JSON: environment and start command, because people keep tokens in them. */
  readonly privateSealed?: string
}

/** One instance. Times in milliseconds since 1970. */
export interface InstanceRecord extends Omit<
  InstanceRow,
  'status' | 'wanted' | 'accessibility' | 'paymentType' | 'acceleratorType' | 'spec' | 'handle'
> {
  readonly status: InstanceStatus
  readonly wanted: Wanted
  readonly accessibility: Accessibility
  readonly paymentType: PaymentType
  readonly acceleratorType: 'CPU' | 'GPU'
  readonly spec: InstanceDocument
  /** What the runtime calls it; absent while there is no container. */
  readonly handle: unknown
}

/** What changes in a life; the store keeps `version`, `owner`, `leaseExpiresMs` and `fence` by itself. */
export type InstancePatch = Partial<
  Omit<InstanceRecord, 'instanceId' | 'workspaceId' | 'createdMs' | 'version' | 'owner' | 'leaseExpiresMs' | 'fence'>
>

/** A row as a record. */
export function parseInstance(row: InstanceRow): InstanceRecord {
  return {
    ...row,
    status: row.status as InstanceStatus,
    wanted: row.wanted as Wanted,
    accessibility: row.accessibility as Accessibility,
    paymentType: row.paymentType as PaymentType,
    acceleratorType: row.acceleratorType as 'CPU' | 'GPU',
    spec: JSON.parse(row.spec) as InstanceDocument,
    handle: row.handle === null ? undefined : (JSON.parse(row.handle) as unknown),
  }
}

/** The columns that a patch changes. */
export function encodePatch(patch: InstancePatch): Partial<InstanceRow> {
  const { spec, handle, ...plain } = patch
  return {
    ...plain,
    ...(spec !== undefined && { spec: JSON.stringify(spec) }),
    ...('handle' in patch && { handle: handle === undefined ? null : JSON.stringify(handle) }),
  }
}
