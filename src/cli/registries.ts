import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { connect } from 'node:tls'
import type { Config } from '#config/config.ts'
import { proxyFor } from '#config/proxies.ts'
import { parseReference } from '#oci/reference.ts'
import { readCredentials } from '#registry/credentials.ts'
import { openLayoutRepository } from '#registry/layout.ts'
import type { Credentials } from '#registry/auth.ts'
import { checkLogin } from '#registry/login.ts'
import { openRegistryRepository, type RegistryReach } from '#registry/registry.ts'
import type { Repository } from '#registry/repository.ts'
import type { Destination } from './destination.ts'
import { parseDestination } from './destination.ts'
import { readEngineFacts } from './engine-facts.ts'

export interface RegistriesOptions {
  readonly config: Config
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
}

/** How the command reaches registries: as the user does, with the user's logins and what the engine allows (design.md §4.6). */
export interface Registries {
  /** What will be pushed to. */
  openTarget(destination: Destination): Promise<Repository>
  /** What is only read. */
  openSource(source: Destination): Promise<Repository>
  /** `registry/repository` */
  repositoryOf(name: string): Promise<Repository>
  /** Throws `registry_denied` when the registry does not take the login, `registry_unavailable`. */
  checkLogin(registry: string, login: Credentials): Promise<void>
  /** One sentence on what a registry says of a reference. Throws AppError. */
  describe(reference: string): Promise<string>
}

const PROBE_MS = 3_000

/** The registries of one run. */
export function openRegistries({ config, env, signal }: RegistriesOptions): Registries {
  let insecure: Promise<readonly string[]> | undefined
  const reachOf = async (registry: string): Promise<RegistryReach> => {
    // Without an engine there is nobody who allows anything; that it is missing is said by who needs it.
    insecure ??= readEngineFacts(config.dockerSocketPath, signal).then(
      (facts) => facts.insecureRegistries,
      () => [],
    )
    const isPlain = config.registries?.some(({ host, plainHttp }) => plainHttp && host === registry) ?? false
    const isInsecure = !isPlain && (await isAmong(registry, await insecure))
    // As dockerd: TLS with any certificate, else plain HTTP; what a proxy leads to cannot be tried from here.
    const isProxied = proxyFor(new URL(`https://${registry}`), config.proxies) !== undefined
    const speaksTls = isInsecure && (isProxied || (await probeTls(registry)))
    return {
      trustedHosts: config.trustedHosts,
      ...(config.proxies && { proxies: config.proxies }),
      ...((isPlain || (isInsecure && !speaksTls)) && { plainHttp: true }),
      ...(speaksTls && { plainHttp: false, insecureTls: true }),
    }
  }
  const open = async (registry: string, repository: string, isTarget: boolean): Promise<Repository> => {
    const credentials = (name: string) => readCredentials(name, env, { signal })
    return openRegistryRepository({ registry, repository, credentials, isTarget, ...(await reachOf(registry)) })
  }
  const openDestination = (destination: Destination, isTarget: boolean) =>
    destination.kind === 'layout'
      ? openLayoutRepository(destination.directory)
      : open(destination.registry, destination.repository, isTarget)
  const openSource = (source: Destination) => openDestination(source, false)
  return {
    openTarget: (destination) => openDestination(destination, true),
    openSource,
    async repositoryOf(name) {
      const { registry, repository } = parseReference(name)
      return open(registry, repository, false)
    },
    checkLogin: async (registry, login) => checkLogin(registry, login, signal, await reachOf(registry)),
    async describe(reference) {
      const destination = parseDestination(reference)
      const repository = await openSource(destination)
      const found = await repository.resolve(destination.tag, { signal })
      return `${repository.name} answers; ${destination.tag} ${found ? `is ${found.digest}` : 'is not there yet'}`
    },
  }
}

/** Whether the engine's administrator has allowed a registry, by its name or by a network that one of its addresses is in. */
export async function isAmong(registry: string, allowed: readonly string[]): Promise<boolean> {
  if (allowed.includes(registry)) return true
  const networks = new BlockList()
  for (const entry of allowed) {
    const [address = '', prefix] = entry.split('/')
    if (isIP(address) !== 0 && prefix !== undefined) networks.addSubnet(address, Number(prefix), familyOf(address))
  }
  if (networks.rules.length === 0) return false
  const name = hostnameOf(registry)
  const addresses =
    isIP(name) !== 0 ? [name] : (await lookup(name, { all: true }).catch(() => [])).map((each) => each.address)
  return addresses.some((address) => networks.check(address, familyOf(address)))
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')
const hostnameOf = (registry: string) => new URL(`https://${registry}`).hostname.replace(/^\[|\]$/g, '')

/** Whether a host answers to a TLS hello, whatever its certificate. */
function probeTls(registry: string): Promise<boolean> {
  const { port } = new URL(`https://${registry}`)
  return new Promise((resolve) => {
    const socket = connect({
      host: hostnameOf(registry),
      port: Number(port || 443),
      ...(isIP(hostnameOf(registry)) === 0 && { servername: hostnameOf(registry) }),
      rejectUnauthorized: false,
      timeout: PROBE_MS,
    })
    const end = (speaksTls: boolean) => {
      socket.destroy()
      resolve(speaksTls)
    }
    socket
      .once('secureConnect', () => end(true))
      .once('error', () => end(false))
      .once('timeout', () => end(false))
  })
}
