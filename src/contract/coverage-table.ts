import type { CoverageTable, Remark } from './coverage.ts'

const ignored = (reason: string): Remark => ({ coverage: 'ignored', reason })
const refused = (reason: string): Remark => ({ coverage: 'refused', reason })
const limited = (reason: string): Remark => ({ coverage: 'works', reason })

const NO_CLOUD_NETWORK = 'there are no virtual networks; an instance is in the network of its engine'
const NO_MARKET = 'there is no spot market'
const NO_DISKS = 'the workspace is a volume on the host, without a size of its own'
const NO_RAM_INSIDE = 'no credentials are put into instances'
const NO_MOVES = 'an instance stays on its host'
const NO_DATASET_SERVICE = 'there is no dataset service; give a Uri'
const NOT_FILES = 'a record without content: there is no service that carries files in and out'
const NO_TENANTS = 'there is one account'
const NO_CODE_SERVER = 'there is no web IDE; use the terminal or JupyterLab'
const NO_BILLING = 'nothing is paid for'
const ONLY_NOW = 'what was promised before is not kept'

/** What a temporary file never says of itself. */
const NO_TRANSFER = {
  Bandwidth: NOT_FILES,
  Description: NOT_FILES,
  DownloadUrl: NOT_FILES,
  Type: NOT_FILES,
  UploadUrl: NOT_FILES,
}

/** What CreateInstance and UpdateInstance have in common. */
const SETTINGS: Readonly<Record<string, Remark>> = {
  Affinity: ignored('the engine places CPUs'),
  AssignNodeSpec: ignored(NO_MOVES),
  CloudDisks: ignored(NO_DISKS),
  CredentialConfig: ignored(NO_RAM_INSIDE),
  'Datasets[].DatasetId': refused(NO_DATASET_SERVICE),
  'Datasets[].DatasetVersion': refused(NO_DATASET_SERVICE),
  'Datasets[].Dynamic': ignored('every dataset is mounted when the instance starts'),
  'Datasets[].OptionType': ignored('a directory of the host has no options'),
  'Datasets[].Options': ignored('a directory of the host has no options'),
  'Datasets[].Uri': limited('file:// paths that the configuration allows; oss, nas, cpfs and bmcpfs are refused'),
  Driver: ignored('the driver is that of the host'),
  DynamicMount: ignored('mounts are made when the instance starts'),
  MigrationOptions: ignored(NO_MOVES),
  OversoldType: ignored('nothing is oversold'),
  Priority: limited('kept, shown and sorted by; there is no queue'),
  SpotSpec: ignored(NO_MARKET),
  UserId: limited('only the account may give an instance to another user'),
  UserVpc: ignored(NO_CLOUD_NETWORK),
  WorkspaceSource: ignored('the workspace is always a volume'),
}

/** What an instance never says of itself. The settings that are ignored are said as they were given. */
const INSTANCE_ABSENT = {
  'CredentialConfig.Configs[].Roles[].UserInfo.SecurityToken': 'a secret that was given is not shown',
  'Datasets[].DatasetId': NO_DATASET_SERVICE,
  'Datasets[].DatasetVersion': NO_DATASET_SERVICE,
  'Datasets[].Dynamic': 'every dataset is mounted when the instance starts',
  'Datasets[].OptionType': 'a directory of the host has no options',
  'Datasets[].Options': 'a directory of the host has no options',
  'ServiceConfig.CodeServerAuth': NO_CODE_SERVER,
  'ServiceConfig.CodeServerPassword': NO_CODE_SERVER,
  TenantId: NO_TENANTS,
  'UserVpc.ForwardInfos[].ConnectInfo': NO_CLOUD_NETWORK,
  'UserVpc.Ip': NO_CLOUD_NETWORK,
  WebIDEUrl: NO_CODE_SERVER,
}

/** What does not simply work. An operation or a field that is not named here works as documented. */
export const OPERATION_COVERAGE: CoverageTable = {
  CreateInstanceSnapshot: {
    request: {
      ExcludePaths: limited('for every instance; /mnt/workspace and all mounts are always left out'),
      ImageUrl: limited('any registry that the configuration allows, and any repository that the policies allow'),
    },
  },
  DeleteInstanceSnapshot: { request: { DeleteImage: limited('an extension: the tag is deleted, too') } },
  CreateInstance: {
    request: {
      ...SETTINGS,
      AccessRestrictionRules: ignored(NO_CLOUD_NETWORK),
      DockerConfig: ignored('an instance has no engine of its own'),
      ResourceId: ignored('there are no resource groups; it is shown as it was given'),
    },
  },
  UpdateInstance: {
    request: {
      ...SETTINGS,
      DisassociateAssignNode: ignored(NO_MOVES),
      DisassociateCredential: ignored(NO_RAM_INSIDE),
      DisassociateDriver: ignored('the driver is that of the host'),
      DisassociateForwardInfos: ignored(NO_CLOUD_NETWORK),
      DisassociateMigrationOptions: ignored(NO_MOVES),
      DisassociateSpot: ignored(NO_MARKET),
      DisassociateVpc: ignored(NO_CLOUD_NETWORK),
    },
  },
  GetInstance: {
    request: { Fields: ignored('every field is answered') },
    absent: {
      ...INSTANCE_ABSENT,
      'NodeErrorRecovery.autoSwitchCountdownSeconds': NO_MOVES,
      ProxyPath: 'the URLs have the whole path',
    },
  },
  ListInstances: {
    absent: {
      MigrationOptions: NO_MOVES,
      ...Object.fromEntries(Object.entries(INSTANCE_ABSENT).map(([name, reason]) => [`Instances[].${name}`, reason])),
    },
  },
  GetInstanceEvents: { request: { EventLevel: ignored('its values are documented nowhere') } },
  CreateIdleInstanceCuller: {
    remark: limited('for instances without a GPU: GPUs are not measured'),
    request: { GpuPercentThreshold: ignored('GPUs are not measured') },
  },
  GetInstanceMetrics: { remark: limited('those of GPUs have no points: GPUs are not measured') },
  GetMetrics: {
    remark: limited('the metrics of GetInstanceMetrics in another form'),
    request: { Dimensions: ignored('the instance in the path is the only one') },
  },
  ListSystemLogs: {
    remark: limited('what the instance printed, and what happened to it'),
    request: Object.fromEntries(
      ['LifecycleId', 'LogRepository', 'Offset', 'ProblemCategory', 'SortBy', 'SourceRequestId'].map((name) => [
        name,
        ignored('there is one log, by time'),
      ]),
    ),
    absent: { Offset: 'the newest 200 entries are in one answer' },
  },
  CreateDiagnosis: {
    remark: limited('the reason that the instance itself gives'),
    request: {
      GmtFailureTime: ignored('the reason is that of now'),
      ProblemCategory: ignored('the reason is that of the instance, whatever is looked for'),
    },
  },
  CreateSanityCheckTask: { remark: limited('whether the instance runs and answers; SSH is no service of ours') },
  GetSanityCheckTask: { remark: limited('what CreateSanityCheckTask found') },
  QueryAutoShutdownPolicies: {
    remark: limited('the culler and the timer of the instance itself'),
    request: { Token: ignored('a token shows one instance') },
  },
  ListEcsSpecs: {
    request: { ResourceType: ignored('there is one'), SortBy: ignored('the API calls it deprecated') },
    absent: {
      'EcsSpecs[].Labels': 'sizes have no labels',
      'EcsSpecs[].SystemDiskCapacity': NO_DISKS,
      'EcsSpecs[].InstanceBandwidthRx': 'it is not limited',
    },
  },
  GetToken: {
    request: {
      Audience: ignored('a token is for this server'),
      ExpireTime: limited('of a View token; an Access token opens the notebook as long as there is the instance'),
    },
  },
  GetUserConfig: {
    absent: Object.fromEntries(
      'EndTime InitBaseUnit InitBaseValue InitShowUnit InitShowValue PeriodBaseUnit PeriodBaseValue PeriodShowUnit PeriodShowValue StartTime Status'
        .split(' ')
        .map((name) => [`FreeTier.${name}`, NO_BILLING]),
    ),
  },
  GetUserCommand: { absent: { accessDeniedDetail: 'a refusal is an error' } },
  GetResourceGroupStatistics: {
    remark: limited('what instances with this ResourceId are promised now'),
    request: { StartTime: ignored(ONLY_NOW), EndTime: ignored(ONLY_NOW) },
  },
  CreateTempFile: { remark: limited(NOT_FILES) },
  GetTempFile: { absent: NO_TRANSFER },
  ListTempFiles: {
    request: {
      Delimiter: ignored('the list has no directories'),
      SortBy: ignored('it is sorted by when they were made'),
    },
    absent: Object.fromEntries(Object.entries(NO_TRANSFER).map(([name, reason]) => [`TempFiles[].${name}`, reason])),
  },
  ListImageLabels: { request: { Region: ignored('there is one') } },
  GetUser: { absent: { 'User.LastLoginDate': 'users have no password to log in with' } },
  CreatePolicy: { request: { Tag: ignored('policies have no tags') } },
  ListPolicies: {
    request: { Tag: ignored('policies have no tags') },
    absent: { 'Policies.Policy[].Tags': 'policies have no tags' },
  },
  AttachPolicyToUser: { request: { ResourceGroupId: ignored('there are no resource groups') } },
  DetachPolicyFromUser: { request: { ResourceGroupId: ignored('there are no resource groups') } },
  AttachPolicyToRole: { request: { ResourceGroupId: ignored('there are no resource groups') } },
  DetachPolicyFromRole: { request: { ResourceGroupId: ignored('there are no resource groups') } },
  ListEntitiesForPolicy: { absent: { 'Groups.Group': 'there are no groups' } },
  CreateRole: { request: { AllowConsoleLogin: ignored('roles do not log in'), Tag: ignored('roles have no tags') } },
  UpdateRole: { request: { NewAllowConsoleLogin: ignored('roles do not log in') } },
  GetRole: {
    absent: { 'Role.LatestDeletionTask': 'a role is deleted at once', 'Role.AllowConsoleLogin': 'roles do not log in' },
  },
  ListRoles: {
    request: { Tag: ignored('roles have no tags') },
    absent: { 'Roles.Role[].Tags': 'roles have no tags', 'Roles.Role[].AllowConsoleLogin': 'roles do not log in' },
  },
}
