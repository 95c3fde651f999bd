import { fields, flag, int32, int64, list, map, oneOf, oneOfAnyCase, said, text } from './schema.ts'

/** `2026-01-31T08:00:00Z`; a fraction of a second is allowed. */
export const TIME_PATTERN =
  '^\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])T(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?Z$'
// PostgreSQL indexes no more than 2 704 bytes of a row, and a character may have four.
const LABEL_LIMIT = 256
/** Keys to remove are named with commas between. */
const LABEL_KEY = '^(?!\\s)[^,]*(?<!\\s)$'

/** A time in UTC. */
export const time = () =>
  text({ max: 30, pattern: TIME_PATTERN, format: 'date-time', rule: 'a time in UTC like 2026-01-31T08:00:00Z' })
/** An id that another operation gave out. */
export const id = () => text({ max: 256, pattern: '^[ -~]*$', rule: 'ASCII characters' })
/** It stands in ARNs: a slash in it would make another one. */
export const workspaceId = () =>
  text({ max: 64, pattern: '^[\\w-]*$', rule: 'letters, digits, hyphens and underscores' })
/** Of something new: ALL is what lists call all of them. */
export const newWorkspaceId = () =>
  text({ max: 64, pattern: '^(?!ALL$)[\\w-]*$', rule: 'letters, digits, hyphens and underscores, and not ALL' })
/** A path inside of the instance. */
export const absolutePath = () => text({ pattern: '^/', rule: 'an absolute path' })

export const order = () => oneOfAnyCase('ASC', 'DESC')
export const accessibility = () => oneOf('PUBLIC', 'PRIVATE')

/** `Key`/`Value`, as labels and tags are sent and, but for an instance's tags, answered. */
export const label = () =>
  fields({
    Key: text({ max: LABEL_LIMIT, pattern: LABEL_KEY, rule: 'text without commas and outer blanks' }),
    Value: text({ max: LABEL_LIMIT }),
  })
export const labels = () => list(label())

/** Page 1 is the first. dsw-api §9 row 14: 10 to a page, at most 100. */
export const page64 = () => ({
  PageNumber: int64({ min: 1, default: 1 }),
  PageSize: int64({ min: 1, max: 100, default: 10 }),
})

export const affinity = () => fields({ CPU: fields({ Enable: flag() }) })
export const requestedResource = () =>
  fields({ CPU: text(), GPU: text(), GPUType: text({ max: 128 }), Memory: text(), SharedMemory: text() })
export const diskStatus = () => fields({ Available: int64(), Capacity: int64(), Usage: int64() })

export const bandwidthLimit = () =>
  fields({
    EgressRate: text(),
    EgressWhitelists: list(text()),
    IngressRate: text(),
    IngressWhitelists: list(text()),
  })

/** How one port of an instance is reached from outside. */
export const forwardInfo = () => fields(FORWARD_FIELDS())
/** The same with where it was found. */
export const forwardInfoResponse = () =>
  fields({
    ...FORWARD_FIELDS(),
    ConnectInfo: fields({
      Internet: fields({ Endpoint: text(), Port: text() }),
      Intranet: fields({ Endpoint: text(), Port: text() }),
      Message: text(),
      Phase: text(),
    }),
  })
const FORWARD_FIELDS = () => ({
  AccessType: list(text()),
  ContainerName: text(),
  EipAllocationId: text(),
  Enable: flag(),
  ExternalPort: text(),
  ForwardPort: text(),
  Name: text(),
  NatGatewayId: text(),
  NlbGatewayId: text(),
  SSHPublicKey: text({ max: 16384 }),
})

export const credentialConfig = () =>
  fields({ AliyunEnvRoleKey: text(), Configs: list(credentialEntry()), Enable: flag() })
const credentialEntry = () => fields({ Roles: list(credentialRole()) }, { Key: text(), Type: text() })
const credentialRole = () =>
  fields(
    {
      AssumeRoleFor: text(),
      Policy: text(),
      UserInfo: fields({ AccessKeyId: text(), Id: text(), SecurityToken: text({ secret: true }), Type: text() }),
    },
    { RoleArn: text(), RoleType: text() },
  )

export const dynamicMount = () =>
  fields({ Enable: flag(), MountPoints: list(fields({ Options: text() }, { RootPath: text() })) })

export const dockerConfig = () => fields({ ContainersLimit: int64(), Enable: flag(), MountAccessConfigPath: text() })
export const userCommand = () => fields({ OnStart: fields({ Content: text({ max: 65536 }) }) })
/** Values may be secrets. */
export const environment = () => map(text({ max: 32768, secret: true }))

/** When an instance that does nothing is stopped, and how long it has done nothing. */
export const idleCuller = () =>
  fields({
    CpuPercentThreshold: int32(),
    GpuPercentThreshold: int32(),
    IdleTimeInMinutes: int32(),
    InstanceId: id(),
    MaxIdleTimeInMinutes: int32(),
  })

/** When an instance is stopped in any case. */
export const shutdownTimer = () =>
  fields({
    DueTime: said(),
    GmtCreateTime: said(),
    GmtModifiedTime: said(),
    InstanceId: said(),
    RemainingTimeInMs: int64(),
  })

/** A snapshot as an instance shows it: without its own id and name. */
export const snapshotOfInstance = () =>
  fields({
    GmtCreateTime: said(),
    GmtModifiedTime: said(),
    ImageId: said(),
    ImageName: said(),
    ImageUrl: said(),
    ReasonCode: said(),
    ReasonMessage: said(),
    RepositoryUrl: said(),
    Status: said(),
  })
