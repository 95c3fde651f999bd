import { AppError } from '#base/errors.ts'
import { isLoopbackHost } from '#base/loopback.ts'
import type { Credentials } from '#registry/auth.ts'
import type { RegistryOptions } from '#registry/registry.ts'
import type { Login, RegistryAccess } from '#runtime/runtime.ts'
import type { RegistryRecord } from '#store/registries.ts'
import type { RegistriesParts } from './parts.ts'

/** What user names and passwords are sealed for: one is not opened as the other. */
export const SEALED = { userName: 'registry-user-name', password: 'registry-password' } as const

/** `host` in lower case, with the one name that Docker Hub has in references. */
export function normalHost(host: string): string {
  const lower = host.toLowerCase()
  return lower === 'index.docker.io' || lower === 'registry-1.docker.io' ? 'docker.io' : lower
}

/** Whether the administrator has named it; without a list that is loopback. */
export function isConfigured(host: string, { configured }: Pick<RegistriesParts, 'configured'>): boolean {
  if (configured) return configured.some((entry) => normalHost(entry.host) === normalHost(host))
  return isLoopbackHost(hostnameOf(host))
}

/** `registry.example.com:5000` without its port. */
export function hostnameOf(host: string): string {
  return host.replace(/:\d+$/, '')
}

/** How to speak to the registry of `host`. Throws `registry_not_allowed`. */
export async function accessTo(host: string, parts: RegistriesParts): Promise<RegistryAccess> {
  const name = normalHost(host)
  const registered = await parts.table.find(name)
  if (registered || isConfigured(name, parts)) return accessOf(name, registered, parts)
  throw new AppError(
    'registry_not_allowed',
    `ImageUrl: the server may not push to ${name}: name it in TINTYPE_REGISTRIES, or register it with CreateRegistry.`,
    { details: { field: 'ImageUrl', registry: name } },
  )
}

/** Every registry that may be spoken to, by name. */
export async function allAccess(parts: RegistriesParts): Promise<readonly RegistryAccess[]> {
  const registered = new Map((await parts.table.list()).map((record) => [record.host, record]))
  const hosts = new Set([...(parts.configured ?? []).map(({ host }) => normalHost(host)), ...registered.keys()])
  return [...hosts].sort().map((host) => accessOf(host, registered.get(host), parts))
}

function accessOf(host: string, registered: RegistryRecord | undefined, parts: RegistriesParts): RegistryAccess {
  const entry = parts.configured?.find((candidate) => normalHost(candidate.host) === host)
  const plainHttp = registered?.plainHttp === true || entry?.plainHttp === true
  const login = registered && loginOf(registered, parts)
  return {
    host,
    ...(plainHttp && { plainHttp }), // else https, but on loopback what it answers to
    // Only the configuration, which is the administrator's, may lead into private networks.
    ...(!isConfigured(host, parts) && { allowPrivate: false }),
    ...(parts.trustedHosts && parts.trustedHosts.length > 0 && { trustedHosts: parts.trustedHosts }),
    ...(parts.proxies && { proxies: parts.proxies }),
    ...(login && { login }),
  }
}

/** Throws `store_unsupported` when they were sealed by another server's key. */
function loginOf({ userNameEncrypted, passwordEncrypted }: RegistryRecord, { secrets }: RegistriesParts) {
  if (userNameEncrypted === null || passwordEncrypted === null) return undefined
  const login: Login = {
    username: secrets.unseal(userNameEncrypted, SEALED.userName),
    password: secrets.unseal(passwordEncrypted, SEALED.password),
  }
  return login
}

/** For the registry client: the same rules. */
export function optionsFor(access: RegistryAccess, repository: string): RegistryOptions {
  const { host, plainHttp, allowPrivate, trustedHosts, proxies } = access
  return {
    registry: host,
    repository,
    credentials: async () => credentialsOf(access),
    ...(trustedHosts && { trustedHosts }),
    ...(proxies && { proxies }),
    ...(plainHttp !== undefined && { plainHttp }),
    ...(allowPrivate !== undefined && { allowPrivate }),
  }
}

export function credentialsOf({ login }: RegistryAccess): Credentials | undefined {
  return login && { kind: 'basic', ...login }
}
