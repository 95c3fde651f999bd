import { request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { AppError } from '#base/errors.ts'
import type { EngineFacts } from './doctor-checks.ts'

const TIMEOUT_MS = 10_000

/** What the engine says of itself (Docker Engine API: /info). Throws `engine_unavailable`, `permission_denied`. */
export async function readEngineFacts(socketPath: string, signal: AbortSignal): Promise<EngineFacts> {
  const text = await get(socketPath, '/info', signal)
  return parseFacts(socketPath, text)
}

async function get(socketPath: string, path: string, signal: AbortSignal): Promise<string> {
  const ended = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
  try {
    return await new Promise<string>((resolve, reject) => {
      const sent = request(
        { socketPath, path, signal: ended, agent: false, headers: { host: 'engine' } },
        (response) => {
          buffer(response).then((bytes) => resolve(bytes.toString()), reject)
        },
      )
      sent.on('error', reject)
      sent.end()
    })
  } catch (cause) {
    if (signal.aborted) throw new AppError('cancelled', 'Cancelled.', { cause })
    throw unreachable(socketPath, cause)
  }
}

function unreachable(socketPath: string, cause: unknown): AppError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'no answer'
  if (code === 'EACCES')
    return new AppError(
      'permission_denied',
      `The engine at ${socketPath} may not be used by this user: run it with sudo.`,
      { cause },
    )
  return new AppError(
    'engine_unavailable',
    `No engine answers at ${socketPath} (${code}): start it, or name its socket in DOCKER_HOST.`,
    { cause, details: { socketPath } },
  )
}

function parseFacts(socketPath: string, text: string): EngineFacts {
  try {
    const info = JSON.parse(text) as Record<string, unknown>
    const { ServerVersion, Driver, DriverStatus, DockerRootDir, RegistryConfig, SecurityOptions } = info
    if (typeof ServerVersion !== 'string' || typeof Driver !== 'string') throw new Error('no ServerVersion or Driver')
    const isContainerd = JSON.stringify(DriverStatus ?? '').includes('io.containerd.snapshotter')
    return {
      name: 'buildahVersion' in info || String(DockerRootDir).includes('/containers/storage') ? 'Podman' : 'Docker',
      version: ServerVersion,
      storageDriver: Driver,
      store: isContainerd ? 'containerd image store' : "the engine's own store",
      rootDirectory: String(DockerRootDir),
      isRootless: JSON.stringify(SecurityOptions ?? '').includes('name=rootless'),
      insecureRegistries: parseInsecure(RegistryConfig),
    }
  } catch (cause) {
    throw new AppError('engine_unavailable', `What answers at ${socketPath} is no Docker engine: check DOCKER_HOST.`, {
      cause,
    })
  }
}

interface RegistryConfig {
  readonly IndexConfigs?: Readonly<Record<string, { readonly Secure?: boolean } | null>>
  readonly InsecureRegistryCIDRs?: readonly string[] | null
}

/** Every engine has these; the registry client knows what they are. */
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.0/8', '::1/128'])

/** `insecure-registries` of daemon.json: hosts by name, and networks such as 10.0.0.0/8. */
function parseInsecure(config: unknown): readonly string[] {
  const { IndexConfigs, InsecureRegistryCIDRs } = (config ?? {}) as RegistryConfig
  const hosts = Object.entries(IndexConfigs ?? {}).flatMap(([host, index]) => (index?.Secure === false ? [host] : []))
  return [...hosts, ...(InsecureRegistryCIDRs ?? []).filter((network) => !LOOPBACK.has(network))]
}
