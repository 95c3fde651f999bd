import { AppError } from '#base/errors.ts'
import type { Bind, InstanceSpec } from '#runtime/runtime.ts'
import { ENTRY_DIRECTORY, WORKSPACE } from './entry.ts'

/** The label that says whose container, or volume, it is. */
export const INSTANCE_LABEL = 'io.tintype.instance'

export const containerName = (instanceId: string) => `tintype-${instanceId}`

export interface ConfigParts {
  readonly spec: InstanceSpec
  /** What the image would run: its entrypoint and command. */
  readonly command: readonly string[]
  /** The directory of `writeEntry`, on the host. */
  readonly entryDirectory: string
  /** `bridge`, or `none` where the engine has none. */
  readonly network: string
}

/** So much of what an instance prints is kept: two files of 10 MB. */
const LOG = { Type: 'local', Config: { 'max-size': '10m', 'max-file': '2' } }
const INSTANCE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/
const NANO_PER_MILLI = 1_000_000

/**
 * The body of `POST /containers/create` for an instance. Throws `parameter_invalid`, naming the field.
 *
 * It gets what the engine gives to any container, never more: its capabilities, its seccomp profile, no privileges.
 * `no-new-privileges` is not set: it takes the effect from set-uid programs, and researchers' images run as a plain user
 * who installs packages with sudo. It would protect the root of the container, which is not to be trusted with more
 * anyway, and not the host: what confines root confines whoever becomes root.
 */
export function containerConfig({ spec, command, entryDirectory, network }: ConfigParts): object {
  if (!INSTANCE_ID.test(spec.instanceId))
    throw new AppError('parameter_invalid', `${JSON.stringify(spec.instanceId)} is no id of an instance.`)
  return {
    Image: spec.imageUrl,
    Hostname: spec.instanceId,
    Env: environment(spec.environment),
    Labels: { ...spec.labels, [INSTANCE_LABEL]: spec.instanceId },
    Entrypoint: ['/bin/sh', `${ENTRY_DIRECTORY}/entry`],
    Cmd: command,
    HostConfig: {
      Init: true,
      NetworkMode: network,
      RestartPolicy: { Name: 'no' }, // who restarts an instance is decided by the service
      LogConfig: LOG,
      Mounts: [
        bindMount({ source: entryDirectory, target: ENTRY_DIRECTORY, readOnly: true }),
        workspaceMount(spec),
        ...spec.binds.map(checkedBind),
      ],
      ...resources(spec),
    },
  }
}

function environment(variables: InstanceSpec['environment']): readonly string[] {
  const own = Object.entries(variables).map(([name, value]) => {
    if (/^[^=\0]+$/.test(name) && !value.includes('\0')) return `${name}=${value}`
    const message = `The environment variable ${JSON.stringify(name)} must have a name without "=", and no NUL in it.`
    throw new AppError('parameter_invalid', message, { details: { field: 'environment' } })
  })
  // A stop reaches all processes of the instance, not only its first: JupyterLab ends its kernels then (tini, README).
  return [...own, 'TINI_KILL_PROCESS_GROUP=1']
}

/** What can be changed of a container that is there, too. */
export function limits({ cpuMilli, memoryBytes }: Pick<InstanceSpec, 'cpuMilli' | 'memoryBytes'>): object {
  return {
    ...(cpuMilli !== undefined && { NanoCpus: cpuMilli * NANO_PER_MILLI }),
    // Equal: no swap beside the memory.
    ...(memoryBytes !== undefined && { Memory: memoryBytes, MemorySwap: memoryBytes }),
  }
}

function resources(spec: InstanceSpec): object {
  const { shmBytes, gpus } = spec
  return {
    ...limits(spec),
    ...(shmBytes !== undefined && { ShmSize: shmBytes }),
    ...(gpus !== undefined && gpus.count > 0 && { DeviceRequests: [{ Count: gpus.count, Capabilities: [['gpu']] }] }),
  }
}

/** A volume that is there keeps its labels: whose it is was said when it was made. */
const workspaceMount = ({ workspaceVolume, instanceId }: InstanceSpec) => ({
  Type: 'volume',
  Source: workspaceVolume,
  Target: WORKSPACE,
  VolumeOptions: { Labels: { [INSTANCE_LABEL]: instanceId } },
})

const bindMount = ({ source, target, readOnly }: Bind) => ({
  Type: 'bind',
  Source: source,
  Target: target,
  ReadOnly: readOnly,
  // What is mounted on either side later stays there.
  BindOptions: { Propagation: 'rprivate' },
})

/** Where a directory of the host would hide what an instance lives on. */
const RESERVED = [
  ENTRY_DIRECTORY,
  WORKSPACE,
  '/proc',
  '/sys',
  '/dev',
  '/bin',
  '/sbin',
  '/lib',
  '/lib64',
  '/usr',
  '/etc',
]

function checkedBind(bind: Bind): object {
  const target = bind.target.replace(/\/+$/, '')
  const isPlain = /^\/[^\0:]+$/.test(target) && !/\/(?:\.{0,2})(?:\/|$)/.test(target)
  if (isPlain && !RESERVED.includes(target)) return bindMount({ ...bind, target })
  const message = `Nothing can be mounted at ${JSON.stringify(bind.target)}: name an absolute path such as /mnt/data.`
  throw new AppError('parameter_invalid', message, { details: { field: 'binds', target: bind.target } })
}
