import type { ResponseOf } from '#contract/operations.ts'
import { wireTime } from '#http/wire-time.ts'
import { JUPYTER_PORT } from '#runtime/runtime.ts'
import type { InstanceDetails } from '#service/instances/details.ts'
import { basePathOf } from '#service/instances/runtime-spec.ts'
import type { RequestedResource } from '#store/instance-record.ts'
import type { SnapshotSummary } from '#store/snapshot-record.ts'

type Got = ResponseOf<'GetInstance'>
type Listed = NonNullable<ResponseOf<'ListInstances'>['Instances']>[number]
type Shared = Omit<Listed, 'OversoldInfo' | 'OversoldType' | 'CloudDisks' | 'Datasets'>

const MIB = 2 ** 20
const COMMAND_PREFIX = 'command-'

/** GetInstance. */
export function writeInstance(details: InstanceDetails): Got {
  const { record } = details
  const { datasets, address } = record.spec
  const echo = parseEcho(record.spec.echo)
  return {
    ...writeShared(details),
    ...(echo.AccessRestrictionRules && { AccessRestrictionRules: echo.AccessRestrictionRules }),
    ...(echo.DockerConfig && { DockerConfig: echo.DockerConfig }),
    ...(echo.MigrationOptions && { MigrationOptions: echo.MigrationOptions }),
    CloudDisks: echo.CloudDisks ?? [],
    Datasets: datasets.map((mount) => ({ ...writeDataset(mount), ActualMountAccess: mount.access })),
    PodIps: address === undefined ? [] : [{ InterfaceName: 'eth0', Ip: address, Type: 'Primary' }],
    NodeErrorRecovery: { enableAutoSwitchOnNodeError: false, hasNodeError: false },
    ...(details.private.onStart !== undefined && { UserCommandId: userCommandId(record.instanceId) }),
  }
}

/** One item of ListInstances. */
export function writeListed(details: InstanceDetails): Listed {
  const { record } = details
  const disks = parseEcho(record.spec.echo).CloudDisks ?? []
  return {
    ...writeShared(details),
    CloudDisks: disks.map(({ Status: _, ...disk }) => disk),
    Datasets: record.spec.datasets.map(writeDataset),
    OversoldInfo: 'ForbiddenQuotaOverSold',
    ...(record.oversoldType !== '' && { OversoldType: record.oversoldType }),
  }
}

/** The id of the command that an instance runs at its start, and back. */
export const userCommandId = (instanceId: string) => COMMAND_PREFIX + instanceId
export const instanceOfCommand = (id: string) => (id.startsWith(COMMAND_PREFIX) ? id.slice(COMMAND_PREFIX.length) : id)

function writeShared(details: InstanceDetails): Shared {
  const { record } = details
  const { echo, requested } = record.spec
  const { Affinity, CredentialConfig, Driver, DynamicMount, UserVpc } = parseEcho(echo)
  return {
    ...writeColumns(details),
    ...writeUrls(record),
    ...writeShutdown(details),
    ...writeSnapshots(details.snapshots),
    ...(Affinity && { Affinity }),
    ...(CredentialConfig && { CredentialConfig }),
    ...(Driver !== undefined && { Driver }),
    ...(DynamicMount && { DynamicMount }),
    ...(UserVpc && { UserVpc }),
    ...(requested && { RequestedResource: writeRequested(requested) }),
    ...(record.spec.workspaceSource !== undefined && { WorkspaceSource: record.spec.workspaceSource }),
    ...(details.maskedImageAuth !== undefined && { ImageAuth: details.maskedImageAuth }),
    ...(details.accessToken !== undefined && {
      ServiceConfig: { JupyterServerAuth: 'token', JupyterServerPassword: details.accessToken },
    }),
    EnvironmentVariables: { ...details.private.environment },
    Labels: details.labels.map(({ key, value }) => ({ Key: key, Value: value })),
    Tags: details.tags.map(({ key, value }) => ({ TagKey: key, TagValue: value })),
  }
}

function writeColumns({ record, userName, runningMs }: InstanceDetails) {
  return {
    AcceleratorType: record.acceleratorType,
    Accessibility: record.accessibility,
    AccumulatedRunningTimeInMs: runningMs,
    EcsSpec: record.ecsSpec,
    GmtCreateTime: wireTime(record.createdMs),
    GmtModifiedTime: wireTime(record.modifiedMs),
    ImageId: record.imageId,
    ImageName: record.imageName,
    ImageUrl: record.imageUrl,
    InstanceId: record.instanceId,
    InstanceName: record.name,
    PaymentType: record.paymentType,
    Priority: record.priority,
    ReasonCode: record.reasonCode,
    ReasonMessage: record.reasonMessage,
    ResourceId: record.resourceId,
    ResourceName: resourceName(record),
    Status: record.status,
    UserId: record.userId,
    UserName: userName,
    WorkspaceId: record.workspaceId,
    WorkspaceName: record.workspaceId,
  }
}

/** The machine by name, or what was asked for: `4 vCPU, 8192 MiB`. */
function resourceName({ ecsSpec, cpuMilli, memoryBytes }: InstanceDetails['record']): string {
  if (ecsSpec !== '') return ecsSpec
  const cpu = cpuMilli === null ? 'all vCPU' : `${cpuMilli / 1000} vCPU`
  return memoryBytes === null ? cpu : `${cpu}, ${Math.round(memoryBytes / MIB)} MiB`
}

/** The notebook is on the host's own network; whoever leads to it from elsewhere keeps the path. */
function writeUrls({ status, instanceId, spec }: InstanceDetails['record']) {
  if (status !== 'Running' || spec.address === undefined) return {}
  const base = `http://${spec.address}:${JUPYTER_PORT}${basePathOf(instanceId)}`
  return { InstanceUrl: base, JupyterlabUrl: `${base}lab`, TerminalUrl: `${base}terminals/1` }
}

function writeShutdown({ record, culler, timer }: InstanceDetails) {
  return {
    ...(culler && { IdleInstanceCuller: writeCuller(culler) }),
    ...(timer && { InstanceShutdownTimer: { ...writeTimer(timer), InstanceId: record.instanceId } }),
  }
}

export const writeCuller = (culler: NonNullable<InstanceDetails['culler']>) => ({
  CpuPercentThreshold: culler.cpuPct,
  GpuPercentThreshold: culler.gpuPct,
  IdleTimeInMinutes: culler.idleMinutes,
  InstanceId: culler.instanceId,
  MaxIdleTimeInMinutes: culler.maxIdleMinutes,
})

export const writeTimer = (timer: NonNullable<InstanceDetails['timer']>) => ({
  DueTime: wireTime(timer.dueMs),
  GmtCreateTime: wireTime(timer.createdMs),
  GmtModifiedTime: wireTime(timer.modifiedMs),
  InstanceId: timer.instanceId,
  RemainingTimeInMs: timer.remainingMs,
})

function writeSnapshots(snapshots: readonly SnapshotSummary[]) {
  const list = snapshots.map(writeSnapshot)
  const [latest] = list
  return { InstanceSnapshotList: list, ...(latest && { LatestSnapshot: latest }) }
}

const writeSnapshot = (snapshot: SnapshotSummary) => ({
  GmtCreateTime: wireTime(snapshot.createdMs),
  GmtModifiedTime: wireTime(snapshot.modifiedMs),
  ImageId: snapshot.imageId,
  ImageName: snapshot.name,
  ImageUrl: snapshot.imageUrl,
  ReasonCode: snapshot.reasonCode,
  ReasonMessage: snapshot.reasonMessage,
  RepositoryUrl: snapshot.imageUrl.replace(/:[^:/]*$/, ''),
  Status: snapshot.status,
})

const writeDataset = (mount: InstanceDetails['record']['spec']['datasets'][number]) => ({
  MountAccess: mount.access,
  MountPath: mount.mountPath,
  Uri: mount.uri,
})

function writeRequested({ cpu, memory, sharedMemory, gpu, gpuType }: RequestedResource) {
  return {
    ...(cpu !== undefined && { CPU: cpu }),
    ...(memory !== undefined && { Memory: memory }),
    ...(sharedMemory !== undefined && { SharedMemory: sharedMemory }),
    ...(gpu !== undefined && { GPU: gpu }),
    ...(gpuType !== undefined && { GPUType: gpuType }),
  }
}

/** What a checked request has put there. */
const parseEcho = (echo: Readonly<Record<string, unknown>>) => echo as Partial<Got>
