import { readProxies, type Proxies } from './proxies.ts'
import * as values from './values.ts'
import type { AllowedRegistry, Database, ListenAddress, RawValue } from './values.ts'

/** What Tintype is told by its environment and its file (design.md §8). Plain data; every value is checked. */
export interface Config {
  /** TINTYPE_HOME: spool, indexes, caches, database. */
  readonly home: string
  readonly listen: ListenAddress
  readonly metricsListen: ListenAddress
  /** PEM files. Absent: plain HTTP. */
  readonly tls?: { readonly certPath: string; readonly keyPath: string }
  readonly database: Database
  readonly runtime: 'docker' | 'kubernetes'
  /** TINTYPE_ZSTD=auto: every host that pulls the images reads zstd. */
  readonly zstdEverywhere: boolean
  /** TINTYPE_TRACEPOINTS=never: what changed before a freeze is found by a walk, not by the kernel's tracepoints. */
  readonly usesTracepoints: boolean
  /** From DOCKER_HOST. */
  readonly dockerSocketPath: string
  /** Absent: generated on the server's first start. */
  readonly rootAccessKey?: { readonly id: string; readonly secret: string }
  readonly region: string
  readonly accountId?: string
  /** Where the server may push. Absent: loopback only. */
  readonly registries?: readonly AllowedRegistry[]
  /** Hosts that registries may send us to, though they are on another site: `host`, `host:port`, `*.domain`. */
  readonly trustedHosts: readonly string[]
  /** From HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Absent: registries are spoken to directly. */
  readonly proxies?: Proxies
  readonly defaultRepository?: string
  /** Host directories that instances may mount. */
  readonly datasetPaths: readonly string[]
  /** Calls per second, account and API; 0: no limit. */
  readonly rateLimit: number
  /** The old ROA HMAC-SHA1 signature, which does not cover the body. */
  readonly legacySignatures: boolean
  /** Most bytes of the spool. Absent: what the disk has. */
  readonly spoolBytes?: number
  /** Most bytes of a layer as it is stored. Absent: any number. */
  readonly maxLayerBytes?: number
  /** Worker threads of one capture. Absent: by the number of cores. */
  readonly workers?: number
  /** Snapshots that the server makes at the same time. Absent: the server's default. */
  readonly maxSnapshots?: number
}

/** Every name that is read, and none else. In a file they are written in lower case. */
export const CONFIG_KEYS = [
  'TINTYPE_HOME',
  'TINTYPE_LISTEN',
  'TINTYPE_METRICS_LISTEN',
  'TINTYPE_TLS_CERT',
  'TINTYPE_TLS_KEY',
  'TINTYPE_DATABASE',
  'TINTYPE_RUNTIME',
  'TINTYPE_ZSTD',
  'TINTYPE_TRACEPOINTS',
  'DOCKER_HOST',
  'TINTYPE_ROOT_ACCESS_KEY_ID',
  'TINTYPE_ROOT_ACCESS_KEY_SECRET',
  'TINTYPE_REGION',
  'TINTYPE_ACCOUNT_ID',
  'TINTYPE_REGISTRIES',
  'TINTYPE_TRUSTED_HOSTS',
  'TINTYPE_DEFAULT_REPOSITORY',
  'TINTYPE_DATASET_PATHS',
  'TINTYPE_RATE_LIMIT',
  'TINTYPE_LEGACY_SIGNATURES',
  'TINTYPE_SPOOL_BYTES',
  'TINTYPE_MAX_LAYER_BYTES',
  'TINTYPE_WORKERS',
  'TINTYPE_MAX_SNAPSHOTS',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
] as const
/** These are also read in lower case, as everywhere. */
const EITHER_CASE: ReadonlySet<ConfigKey> = new Set(['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'])

type ConfigKey = (typeof CONFIG_KEYS)[number]
type Environment = Readonly<Record<string, string | undefined>>
type Parse<T> = (field: string, value: RawValue) => T

const DEFAULT_HOME = '/var/lib/tintype'
const DEFAULT_LISTEN: ListenAddress = { host: '127.0.0.1', port: 8080 }
const DEFAULT_METRICS_LISTEN: ListenAddress = { host: '127.0.0.1', port: 9090 }
const DEFAULT_DOCKER_SOCKET = '/var/run/docker.sock'
const DEFAULT_RATE_LIMIT = 100 // calls per second, as PAI-DSW documents
const MAX_RATE = 1_000_000
const MAX_WORKERS = 64 // more than one host has use for: disks and registries are slower
const MAX_SNAPSHOTS = 1_000

/**
 * The configuration from the environment and, when given, a YAML file. The environment goes before the file; an empty
 * variable counts as unset. Throws `config_invalid`, naming the field and what it must be.
 */
export async function readConfig(env: Environment, file?: string): Promise<Config> {
  // Loaded only with a file: the YAML reader and the schema library would double the start of `tintype snapshot`.
  const written = file === undefined ? new Map() : await (await import('./file.ts')).readConfigFile(file, CONFIG_KEYS)
  const find = (key: ConfigKey): { readonly field: string; readonly value: RawValue } | undefined => {
    const fromEnv = env[key] || (EITHER_CASE.has(key) ? env[key.toLowerCase()] : undefined)
    if (fromEnv !== undefined && fromEnv !== '') return { field: key, value: fromEnv }
    const value: RawValue | undefined = written.get(key)
    if (value === undefined || value.length === 0) return undefined
    return { field: `${key.toLowerCase()} in ${file}`, value }
  }
  return buildConfig((key, parse) => {
    const found = find(key)
    return found && parse(found.field, found.value)
  })
}

type Get = <T>(key: ConfigKey, parse: Parse<T>) => T | undefined

function buildConfig(get: Get): Config {
  const home = get('TINTYPE_HOME', values.parsePath) ?? DEFAULT_HOME
  const tls = readPair(get, 'TINTYPE_TLS_CERT', 'TINTYPE_TLS_KEY', values.parsePath)
  const rootKey = readPair(get, 'TINTYPE_ROOT_ACCESS_KEY_ID', 'TINTYPE_ROOT_ACCESS_KEY_SECRET', parseAccessKey)
  return {
    home,
    listen: get('TINTYPE_LISTEN', values.parseListen) ?? DEFAULT_LISTEN,
    metricsListen: get('TINTYPE_METRICS_LISTEN', values.parseListen) ?? DEFAULT_METRICS_LISTEN,
    ...(tls && { tls: { certPath: tls[0], keyPath: tls[1] } }),
    database: get('TINTYPE_DATABASE', values.parseDatabase) ?? { kind: 'sqlite', path: `${home}/tintype.db` },
    runtime: get('TINTYPE_RUNTIME', choice('docker', 'kubernetes')) ?? 'docker',
    zstdEverywhere: get('TINTYPE_ZSTD', choice('never', 'auto')) === 'auto',
    usesTracepoints: get('TINTYPE_TRACEPOINTS', choice('auto', 'never')) !== 'never',
    dockerSocketPath: get('DOCKER_HOST', values.parseDockerHost) ?? DEFAULT_DOCKER_SOCKET,
    ...(rootKey && { rootAccessKey: { id: rootKey[0], secret: rootKey[1] } }),
    region: get('TINTYPE_REGION', parseRegion) ?? 'local',
    trustedHosts: get('TINTYPE_TRUSTED_HOSTS', values.parseHosts) ?? [],
    datasetPaths: get('TINTYPE_DATASET_PATHS', parsePaths) ?? [],
    rateLimit: get('TINTYPE_RATE_LIMIT', whole(0, MAX_RATE)) ?? DEFAULT_RATE_LIMIT,
    legacySignatures: get('TINTYPE_LEGACY_SIGNATURES', choice('off', 'on')) === 'on',
    ...readOptional(get),
  }
}

/** Two values that make sense together only. */
function readPair<T>(get: Get, first: ConfigKey, second: ConfigKey, parse: Parse<T>): readonly [T, T] | undefined {
  const one = get(first, parse)
  const two = get(second, parse)
  if (one === undefined && two === undefined) return undefined
  if (one === undefined) throw values.invalidValue(first, `set together with ${second}`)
  if (two === undefined) throw values.invalidValue(second, `set together with ${first}`)
  return [one, two]
}

/** What has no default: absent when it is unset. */
function readOptional(get: Get) {
  const accountId = get('TINTYPE_ACCOUNT_ID', parseAccountId)
  const registries = get('TINTYPE_REGISTRIES', values.parseRegistries)
  const defaultRepository = get('TINTYPE_DEFAULT_REPOSITORY', values.parseRepository)
  const spoolBytes = get('TINTYPE_SPOOL_BYTES', values.parseSize)
  const maxLayerBytes = get('TINTYPE_MAX_LAYER_BYTES', values.parseSize)
  const workers = get('TINTYPE_WORKERS', whole(1, MAX_WORKERS))
  const proxies = readProxies(get)
  const maxSnapshots = get('TINTYPE_MAX_SNAPSHOTS', whole(1, MAX_SNAPSHOTS))
  return {
    ...(accountId !== undefined && { accountId }),
    ...(registries !== undefined && { registries }),
    ...(defaultRepository !== undefined && { defaultRepository }),
    ...(spoolBytes !== undefined && { spoolBytes }),
    ...(maxLayerBytes !== undefined && { maxLayerBytes }),
    ...(workers !== undefined && { workers }),
    ...(maxSnapshots !== undefined && { maxSnapshots }),
    ...(proxies && { proxies }),
  }
}

const choice =
  <const T extends string>(...choices: readonly T[]): Parse<T> =>
  (field, value) =>
    values.parseChoice(field, value, choices)

const whole =
  (min: number, max: number): Parse<number> =>
  (field, value) =>
    values.parseWhole(field, value, { min, max })

const parsePaths: Parse<readonly string[]> = (field, value) =>
  values.parseList(value).map((item) => values.parsePath(field, item))

const parseRegion: Parse<string> = (field, value) => {
  const text = values.parseText(field, value)
  if (!/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(text))
    throw values.invalidValue(field, '1 to 32 lower-case letters, digits and hyphens, such as cn-hangzhou', text)
  return text
}

const parseAccountId: Parse<string> = (field, value) => {
  const text = values.parseText(field, value)
  if (!/^\d{1,32}$/.test(text)) throw values.invalidValue(field, '1 to 32 digits', text)
  return text
}

// One half of the pair is a secret, so that no message repeats the value.
const parseAccessKey: Parse<string> = (field, value) => {
  const text = values.parseText(field, value)
  if (!/^[\x21-\x7e]{8,128}$/.test(text))
    throw values.invalidValue(field, '8 to 128 visible ASCII characters without spaces')
  return text
}
