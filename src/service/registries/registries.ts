import { AppError, toAppError } from '#base/errors.ts'
import { parseReference } from '#oci/reference.ts'
import type { Reference } from '#oci/reference.ts'
import { deleteTag } from '#registry/delete-tag.ts'
import { checkLogin } from '#registry/login.ts'
import { openRegistryRepository } from '#registry/registry.ts'
import type { Repository } from '#registry/repository.ts'
import type { RegistryAccess } from '#runtime/runtime.ts'
import type { RegistryRecord } from '#store/registries.ts'
import { checkAddresses } from './addresses.ts'
import { accessTo, allAccess, credentialsOf, hostnameOf, normalHost, optionsFor, SEALED } from './allowed.ts'
import type { RegistriesParts } from './parts.ts'

/** A registry as callers see it: never what its credentials are. */
export interface RegistryView {
  readonly host: string
  readonly plainHttp: boolean
  readonly hasCredentials: boolean
  readonly createdMs: number
  readonly modifiedMs: number
}

export interface RegistryChange {
  readonly plainHttp?: boolean
  /** Both or none; empty texts: without credentials from now on. */
  readonly userName?: string
  readonly password?: string
}

export interface RegistryTest {
  readonly reachable: boolean
  readonly authenticated: boolean
  /** One sentence. */
  readonly message: string
}

/** Where the server may push, and with which credentials: they can be used, and never be read. */
export interface Registries {
  /** Throws `parameter_invalid`, `registry_not_allowed`, `name_taken`. */
  create(host: string, change: RegistryChange): Promise<void>
  /** Those that were registered; by host. */
  list(): Promise<readonly RegistryView[]>
  /** Throws `registry_not_found`, `parameter_invalid`. */
  update(host: string, change: RegistryChange): Promise<void>
  /** Throws `registry_not_found`. */
  delete(host: string): Promise<void>
  /** Whether it answers and takes the credentials, within two seconds. Throws `registry_not_allowed`. */
  test(host: string): Promise<RegistryTest>
  accessTo(host: string): Promise<RegistryAccess>
  all(): Promise<readonly RegistryAccess[]>
  /** To push to. */
  open(reference: Reference): Promise<Repository>
  deleteTag(reference: Reference & { readonly tag: string }, digest: string, signal: AbortSignal): Promise<boolean>
}

/** Clients wait for three seconds (dsw-api §10). */
const TEST_MS = 2_000

/** The registries that the server knows: those of the configuration, and those that were registered over the API. */
export function openRegistries(parts: RegistriesParts): Registries {
  const { table, clock } = parts
  return {
    async create(host, change) {
      const name = parseHost(host)
      await checkAddresses(name, parts)
      const sealed = sealLogin(change, parts)
      const registry = {
        host: name,
        plainHttp: change.plainHttp ?? false,
        userNameEncrypted: null,
        passwordEncrypted: null,
      }
      if (await table.insert({ ...registry, ...sealed }, clock.wallMs())) return
      throw new AppError('name_taken', `Host: ${name} is registered already: change it with UpdateRegistry.`)
    },
    async list() {
      return (await table.list()).map(viewOf)
    },
    async update(host, change) {
      const { plainHttp } = change
      const changed = { ...sealLogin(change, parts), ...(plainHttp !== undefined && { plainHttp }) }
      if (!(await table.update(normalHost(host), changed, clock.wallMs()))) throw notFound(host)
    },
    async delete(host) {
      if (!(await table.remove(normalHost(host)))) throw notFound(host)
    },
    test: (host) => testRegistry(host, parts),
    accessTo: (host) => accessTo(host, parts),
    all: () => allAccess(parts),
    async open({ registry, repository }) {
      return openRegistryRepository({ ...optionsFor(await accessTo(registry, parts), repository), isTarget: true })
    },
    async deleteTag({ registry, repository, tag }, digest, signal) {
      return deleteTag(optionsFor(await accessTo(registry, parts), repository), { tag, digest }, signal)
    },
  }
}

/** Throws `parameter_invalid` unless it is what stands before the first slash of a reference. */
function parseHost(host: string): string {
  const name = normalHost(host)
  try {
    if (parseReference(`${name}/repository`).registry === name) return name
  } catch {
    // said below, with the field's name
  }
  const isBare = !/[.:]/.test(hostnameOf(name)) && !name.includes(':')
  const remedy = isBare ? ': a name without a dot needs a port' : ''
  throw new AppError('parameter_invalid', `Host must be HOST or HOST:PORT, as it stands in references${remedy}.`, {
    details: { field: 'Host' },
  })
}

function sealLogin({ userName, password }: RegistryChange, { secrets }: RegistriesParts) {
  if (userName === undefined && password === undefined) return {}
  if ((userName ?? '') === '' && (password ?? '') === '') return { userNameEncrypted: null, passwordEncrypted: null }
  if (userName === undefined || userName === '' || password === undefined || password === '')
    throw new AppError('parameter_invalid', 'UserName and Password must be given together.', {
      details: { field: userName === undefined || userName === '' ? 'UserName' : 'Password' },
    })
  // RFC 7617: Basic ends the user name at the first colon, and has no control characters.
  if (/[:\u0000-\u001f\u007f]/.test(userName))
    throw new AppError('parameter_invalid', 'UserName must have no colon and no control characters.', {
      details: { field: 'UserName' },
    })
  return {
    userNameEncrypted: secrets.seal(userName, SEALED.userName),
    passwordEncrypted: secrets.seal(password, SEALED.password),
  }
}

function viewOf({ host, plainHttp, userNameEncrypted, createdMs, modifiedMs }: RegistryRecord): RegistryView {
  return { host, plainHttp, hasCredentials: userNameEncrypted !== null, createdMs, modifiedMs }
}

function notFound(host: string): AppError {
  return new AppError('registry_not_found', `No registry ${host} is registered.`, { details: { host } })
}

async function testRegistry(host: string, parts: RegistriesParts): Promise<RegistryTest> {
  const access = await accessTo(host, parts)
  const { plainHttp, allowPrivate, trustedHosts, proxies } = optionsFor(access, 'test')
  const reach = { plainHttp, allowPrivate, trustedHosts, proxies }
  try {
    await checkLogin(access.host, credentialsOf(access), AbortSignal.timeout(TEST_MS), reach)
    const who = access.login ? 'takes the credentials' : 'answers; no credentials are kept for it'
    return { reachable: true, authenticated: true, message: `${access.host} ${who}.` }
  } catch (error) {
    const { code, message } = toAppError(error)
    if (code === 'registry_denied') return { reachable: true, authenticated: false, message }
    const sentence = code === 'cancelled' ? `${access.host} did not answer within ${TEST_MS / 1_000} seconds.` : message
    return { reachable: false, authenticated: false, message: sentence }
  }
}
