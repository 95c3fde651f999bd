import type { Credentials } from './auth.ts'
import { askHelper, tellHelper } from './credential-helper.ts'
import type { CredentialHelper } from './credential-helper.ts'
import { currentIdentity, findDockerConfigs, readDockerConfig, writeDockerConfig } from './docker-config.ts'
import type { AuthEntry, DockerConfig, DockerConfigPlace, Environment, Identity } from './docker-config.ts'
import { AppError } from '#base/errors.ts'

export interface CredentialOptions {
  readonly signal?: AbortSignal
  readonly identity?: Identity
}

const DOCKER_HUB = 'docker.io'
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/' // what the Docker CLI has always called it
const DOCKER_HUB_HOSTS: readonly string[] = [DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io']
const TOKEN_USER = '<token>' // docker-credential-helpers: the secret is an identity token

/**
 * What the Docker configuration has for a registry (`docker.io`, `localhost:5000`), or undefined: from a credential
 * helper, or from `auths`; under sudo the invoking user's configuration is asked after root's.
 * Throws `config_invalid` for a broken file, `registry_denied` when a helper fails.
 */
export async function readCredentials(
  registry: string,
  env: Environment,
  options: CredentialOptions = {},
): Promise<Credentials | undefined> {
  for (const place of await findDockerConfigs(env, options.identity ?? currentIdentity())) {
    const config = await readDockerConfig(place.path)
    const found = await findCredentials(registry, config, { place, env, ...options })
    if (found) return found
  }
  return undefined
}

/**
 * Keep credentials where `docker login` does: in the helper that the configuration names, else in its `auths`. Returns
 * where, for people. Throws as `readCredentials`, and `permission_denied` when the file cannot be written.
 */
export async function storeCredentials(
  registry: string,
  credentials: Credentials,
  env: Environment,
  options: CredentialOptions = {},
): Promise<string> {
  const [place] = await findDockerConfigs(env, options.identity ?? currentIdentity())
  if (!place)
    throw new AppError(
      'config_invalid',
      'HOME and DOCKER_CONFIG are unset: set one, so that there is a place for the login.',
    )
  const config = await readDockerConfig(place.path)
  const key = serverKey(registry)
  const helper = findHelper(key, config, { place, env })
  if (!helper) {
    await writeDockerConfig(place.path, { ...config, auths: { ...config.auths, [key]: encodeEntry(credentials) } })
    return place.path
  }
  const stored =
    credentials.kind === 'basic'
      ? { username: credentials.username, secret: credentials.password }
      : { username: TOKEN_USER, secret: credentials.token }
  await tellHelper(helper, key, stored, options.signal)
  // The Docker CLI lists the servers of a helper as empty entries; `docker logout` looks for them.
  await writeDockerConfig(place.path, { ...config, auths: { ...config.auths, [key]: {} } })
  return `docker-credential-${helper.name}`
}

interface Context {
  readonly place: DockerConfigPlace
  readonly env: Environment
  readonly signal?: AbortSignal
}

async function findCredentials(
  registry: string,
  config: DockerConfig,
  context: Context,
): Promise<Credentials | undefined> {
  const key = serverKey(registry)
  const helper = findHelper(key, config, context)
  const stored = helper && (await askHelper(helper, key, context.signal))
  if (stored?.username === TOKEN_USER) return { kind: 'identityToken', token: stored.secret }
  if (stored) return { kind: 'basic', username: stored.username, password: stored.secret }
  const entry = config.auths[key] ?? findByHost(registry, config.auths)
  return entry && decodeEntry(entry, registry, context.place.path)
}

function findHelper(key: string, config: DockerConfig, { place, env }: Context): CredentialHelper | undefined {
  const name = config.credHelpers[key] ?? (key === DOCKER_HUB_KEY ? config.credHelpers[DOCKER_HUB] : undefined)
  const helper = name ?? config.credsStore
  if (!helper) return undefined
  return { name: helper, configPath: place.path, env, ...(place.owner && { owner: place.owner }) }
}

const serverKey = (registry: string) => (DOCKER_HUB_HOSTS.includes(registry) ? DOCKER_HUB_KEY : registry)

/** Old files have keys such as `https://registry.example.com/v1/` (docker/cli, ConvertToHostname). */
function findByHost(registry: string, auths: DockerConfig['auths']): AuthEntry | undefined {
  const hosts = DOCKER_HUB_HOSTS.includes(registry) ? DOCKER_HUB_HOSTS : [registry]
  const found = Object.entries(auths).find(([key]) =>
    hosts.includes(key.replace(/^https?:\/\//, '').split('/')[0] ?? ''),
  )
  return found?.[1]
}

function decodeEntry(entry: AuthEntry, registry: string, path: string): Credentials | undefined {
  if (entry.identitytoken) return { kind: 'identityToken', token: entry.identitytoken }
  if (!entry.auth) {
    const { username, password } = entry
    return username && password !== undefined ? { kind: 'basic', username, password } : undefined
  }
  const text = Buffer.from(entry.auth, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon < 1)
    throw new AppError(
      'config_invalid',
      `The login for ${registry} in ${path} is not the base64 form of USER:PASSWORD: run "tintype login ${registry}" again.`,
    )
  return { kind: 'basic', username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') }
}

function encodeEntry(credentials: Credentials): AuthEntry {
  if (credentials.kind === 'identityToken') return { identitytoken: credentials.token }
  return { auth: Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64') }
}
