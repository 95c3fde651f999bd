import { anything, fields, flag, int64, list, listed, map, oneOf, said, text } from './schema.ts'
import {
  newWorkspaceId,
  absolutePath,
  accessibility,
  affinity,
  bandwidthLimit,
  credentialConfig,
  diskStatus,
  dockerConfig,
  dynamicMount,
  environment,
  forwardInfo,
  forwardInfoResponse,
  id,
  idleCuller,
  labels,
  requestedResource,
  shutdownTimer,
  snapshotOfInstance,
  userCommand,
} from './shapes.ts'

/** dsw-api §1.2, the states of an instance as ListInstances filters them. */
export const INSTANCE_STATUSES = [
  'Creating',
  'SaveFailed',
  'Stopped',
  'Failed',
  'ResourceAllocating',
  'Stopping',
  'Updating',
  'Saving',
  'Queuing',
  'Recovering',
  'Starting',
  'Running',
  'Saved',
  'Deleting',
  'EnvPreparing',
] as const

export const OVERSOLD_TYPES = ['ForceQuotaOverSold', 'AcceptQuotaOverSold', 'ForbiddenQuotaOverSold'] as const
const IMAGE_URL_LIMIT = 1024
const NAME_PATTERN = '^\\w{1,27}$'
const NAME_RULE = '1 to 27 letters, digits and underscores'
const CAPACITY_PATTERN = '^[1-9]\\d{0,8}(?:[KMGT]i?)?B?$'
const BASE64_PATTERN = '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'

const capacity = () => text({ max: 20, pattern: CAPACITY_PATTERN, rule: 'a size like 100Gi' })

const dataset = () => ({
  DatasetId: text(),
  DatasetVersion: text(),
  Dynamic: flag(),
  MountAccess: oneOf('RW', 'RO'),
  MountPath: absolutePath(),
  OptionType: text(),
  Options: text({ max: 16384 }),
  Uri: text(),
})

const spotSpec = () =>
  fields({ SpotDiscountLimit: text(), SpotDuration: text(), SpotPriceLimit: text(), SpotStrategy: text() })

const vpc = () => ({
  BandwidthLimit: bandwidthLimit(),
  DefaultRoute: oneOf('eth0', 'eth1'),
  ExtendedCIDRs: list(text()),
  SecurityGroupId: id(),
  VSwitchId: id(),
  VpcId: id(),
})

/** What both CreateInstance and UpdateInstance take. */
const settings = () => ({
  Accessibility: accessibility(),
  Affinity: affinity(),
  AssignNodeSpec: fields({ AntiAffinityNodeNames: text(), NodeNames: text() }),
  CredentialConfig: credentialConfig(),
  Datasets: list(fields(dataset())),
  Driver: text(),
  DynamicMount: dynamicMount(),
  EcsSpec: text(),
  ImageAuth: text({ max: 16384, pattern: BASE64_PATTERN, rule: 'the Base64 text of USER:PASSWORD', secret: true }),
  ImageId: id(),
  ImageUrl: text({ max: IMAGE_URL_LIMIT }),
  InstanceName: text({ max: 27, pattern: NAME_PATTERN, rule: NAME_RULE }),
  MigrationOptions: map(anything()),
  OversoldType: oneOf(...OVERSOLD_TYPES),
  Priority: int64({ min: 1, max: 9 }),
  RequestedResource: requestedResource(),
  SpotSpec: spotSpec(),
  UserCommand: userCommand(),
  UserId: id(),
  UserVpc: fields({ ...vpc(), ForwardInfos: list(forwardInfo()) }),
  WorkspaceSource: text(),
})

export const createInstanceBody = () =>
  fields({
    ...settings(),
    AccessRestrictionRules: map(text()),
    CloudDisks: list(
      fields({
        Capacity: capacity(),
        MountPath: absolutePath(),
        Path: text(),
        Status: diskStatus(),
        SubType: oneOf('rootfs'),
      }),
    ),
    DockerConfig: dockerConfig(),
    EnvironmentVariables: environment(),
    Labels: labels(),
    ResourceId: id(),
    Tag: labels(),
    WorkspaceId: newWorkspaceId(),
  })

/** An absent field stays as it is; `Disassociate…` clears one. */
export const updateInstanceBody = () =>
  fields({
    ...settings(),
    CloudDisks: list(fields({ Capacity: capacity(), SubType: oneOf('rootfs') })),
    DisassociateAssignNode: flag(),
    DisassociateCredential: flag(),
    DisassociateDatasets: flag(),
    DisassociateDriver: flag(),
    DisassociateEnvironmentVariables: flag(),
    DisassociateForwardInfos: flag(),
    DisassociateMigrationOptions: flag(),
    DisassociateSpot: flag(),
    DisassociateUserCommand: flag(),
    DisassociateVpc: flag(),
    EnvironmentVariables: map(anything()),
    StartInstance: flag(),
  })

/** What GetInstance and each item of ListInstances say. */
const instance = () => ({
  AcceleratorType: said(),
  Accessibility: said(),
  AccumulatedRunningTimeInMs: int64(),
  Affinity: affinity(),
  CredentialConfig: credentialConfig(),
  Driver: said(),
  DynamicMount: dynamicMount(),
  EcsSpec: said(),
  EnvironmentVariables: map(said()),
  GmtCreateTime: said(),
  GmtModifiedTime: said(),
  IdleInstanceCuller: idleCuller(),
  ImageAuth: said(),
  ImageId: said(),
  ImageName: said(),
  ImageUrl: said(),
  InstanceId: said(),
  InstanceName: said(),
  InstanceShutdownTimer: shutdownTimer(),
  InstanceSnapshotList: listed(snapshotOfInstance()),
  InstanceUrl: said(),
  JupyterlabUrl: said(),
  Labels: labels(),
  LatestSnapshot: snapshotOfInstance(),
  PaymentType: said(),
  Priority: int64(),
  ReasonCode: said(),
  ReasonMessage: said(),
  RequestedResource: requestedResource(),
  ResourceId: said(),
  ResourceName: said(),
  ServiceConfig: fields({
    CodeServerAuth: said(),
    CodeServerPassword: said(),
    JupyterServerAuth: said(),
    JupyterServerPassword: said(),
  }),
  Status: oneOf(...INSTANCE_STATUSES),
  Tags: listed(fields({ TagKey: said(), TagValue: said() })),
  TenantId: said(),
  TerminalUrl: said(),
  UserId: said(),
  UserName: said(),
  UserVpc: fields({ ...vpc(), ForwardInfos: listed(forwardInfoResponse()), Ip: said() }),
  WebIDEUrl: said(),
  WorkspaceId: said(),
  WorkspaceName: said(),
  WorkspaceSource: said(),
})

const disk = () => ({ Capacity: said(), MountPath: said(), Path: said(), SubType: said() })

export const getInstanceResponse = () =>
  fields({
    ...instance(),
    AccessRestrictionRules: map(said()),
    CloudDisks: listed(fields({ ...disk(), Status: diskStatus() })),
    Datasets: listed(fields({ ...dataset(), ActualMountAccess: said() })),
    DockerConfig: dockerConfig(),
    MigrationOptions: map(anything()),
    NodeErrorRecovery: fields({
      autoSwitchCountdownSeconds: int64(),
      enableAutoSwitchOnNodeError: flag(),
      hasNodeError: flag(),
    }),
    PodIps: listed(fields({ InterfaceName: said(), Ip: said(), Type: said() })),
    ProxyPath: said(),
    UserCommandId: said(),
  })

export const listInstancesResponse = () =>
  fields({
    Instances: listed(
      fields({
        ...instance(),
        CloudDisks: listed(fields(disk())),
        Datasets: listed(fields(dataset())),
        OversoldInfo: said(),
        OversoldType: said(),
      }),
    ),
    MigrationOptions: map(anything()),
    TotalCount: int64(),
  })
