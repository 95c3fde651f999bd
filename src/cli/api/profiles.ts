import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { SigningKey } from '#access/sign.ts'
import { AppError, systemCode } from '#base/errors.ts'

/** A server and a key for it, under a name. */
export interface Profile {
  readonly endpoint: string
  readonly key: SigningKey
}

type Environment = Readonly<Record<string, string | undefined>>
type Profiles = Readonly<Record<string, Profile>>

export const DEFAULT_PROFILE = 'default'
const DEFAULT_ENDPOINT = 'http://127.0.0.1:8080'
const PROFILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export interface ProfileChoice {
  /** `--endpoint` and `--profile`. */
  readonly endpoint?: string | undefined
  readonly profile?: string | undefined
  readonly env: Environment
  /** TINTYPE_HOME, whose owner may use the account's own key. */
  readonly home: string
}

/**
 * The server and the key that a command is for. The key is that of `--profile`; else of the environment; else of the
 * profile that TINTYPE_PROFILE names, or `default`; else, for the owner of the server's TINTYPE_HOME, the account's own.
 * Throws `usage_invalid`, `config_invalid`, `permission_denied`.
 */
export async function chooseProfile({ endpoint, profile, env, home }: ProfileChoice): Promise<Profile> {
  const named = profile ?? set(env['TINTYPE_PROFILE'])
  if (named !== undefined) checkName(named)
  const given = endpoint ?? set(env['TINTYPE_ENDPOINT'])
  const found = await findProfile({ named, isWritten: profile !== undefined, env, home })
  return given === undefined ? found : { ...found, endpoint: parseEndpoint(given) }
}

interface Search {
  readonly named: string | undefined
  /** Whether the command line names it: then it goes before the environment's key. */
  readonly isWritten: boolean
  readonly env: Environment
  readonly home: string
}

async function findProfile({ named, isWritten, env, home }: Search): Promise<Profile> {
  const key = isWritten ? undefined : keyOfEnvironment(env)
  if (key) return { endpoint: DEFAULT_ENDPOINT, key }
  const profiles = await readProfiles(profilesPath(env))
  const name = named ?? DEFAULT_PROFILE
  if (Object.hasOwn(profiles, name) && profiles[name] !== undefined) return profiles[name]
  const own = name === DEFAULT_PROFILE ? await keyOfServer(`${home}/credentials.json`) : undefined
  if (own) return { endpoint: DEFAULT_ENDPOINT, key: own }
  const others = Object.keys(profiles)
  const hint = others.length === 0 ? '' : ` (there are: ${others.join(', ')})`
  const command = name === DEFAULT_PROFILE ? 'tintype configure' : `tintype configure --profile ${name}`
  throw new AppError('config_invalid', `There is no profile ${JSON.stringify(name)}${hint}: run "${command}".`)
}

function keyOfEnvironment(env: Environment): SigningKey | undefined {
  const id = set(env['TINTYPE_ACCESS_KEY_ID'])
  const secret = set(env['TINTYPE_ACCESS_KEY_SECRET'])
  const securityToken = set(env['TINTYPE_SECURITY_TOKEN'])
  if (id === undefined && secret === undefined) return undefined
  if (id === undefined || secret === undefined) {
    const [missing, other] = id === undefined ? ['ID', 'SECRET'] : ['SECRET', 'ID']
    const message = `TINTYPE_ACCESS_KEY_${missing} must be set together with TINTYPE_ACCESS_KEY_${other}.`
    throw new AppError('config_invalid', message)
  }
  return { id, secret, ...(securityToken !== undefined && { securityToken }) }
}

/** The key that the server on this host made for its account; undefined for whoever may not read it. */
async function keyOfServer(path: string): Promise<SigningKey | undefined> {
  try {
    const { accessKeyId, accessKeySecret } = parseRecord(path, await readFile(path, 'utf8'))
    if (typeof accessKeyId === 'string' && typeof accessKeySecret === 'string')
      return { id: accessKeyId, secret: accessKeySecret }
  } catch (error) {
    if (error instanceof AppError) throw error
  }
  return undefined
}

/** Where the profiles of the user are. */
export function profilesPath(env: Environment): string {
  return join(set(env['HOME']) ?? homedir(), '.tintype', 'config.json')
}

/** All profiles; none when there is no file. Throws `config_invalid`, and `permission_denied` when others may read it. */
async function readProfiles(path: string): Promise<Profiles> {
  let text: string
  let mode: number
  try {
    mode = (await stat(path)).mode
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return {}
    throw new AppError('permission_denied', `${path} cannot be read (${systemCode(error)}): see whose it is.`)
  }
  if ((mode & 0o077) !== 0)
    throw new AppError('permission_denied', `${path} has secrets and others can read it: run "chmod 600 ${path}".`)
  return parseProfiles(path, text)
}

/** Keep a profile under a name, in place of one that has it. The file is its owner's alone. Throws as `readProfiles`. */
export async function storeProfile(path: string, name: string, { endpoint, key }: Profile): Promise<void> {
  checkName(name)
  const profiles = { ...(await readProfiles(path)), [name]: { endpoint, key } }
  const written = Object.entries(profiles).map(([each, profile]) => [each, encodeProfile(profile)])
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(`${JSON.stringify({ profiles: Object.fromEntries(written) }, undefined, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new AppError('permission_denied', `${path} cannot be written (${systemCode(error)}).`, { cause: error })
  }
}

const encodeProfile = ({ endpoint, key }: Profile) => ({
  endpoint,
  accessKeyId: key.id,
  accessKeySecret: key.secret,
  ...(key.securityToken !== undefined && { securityToken: key.securityToken }),
})

function parseProfiles(path: string, text: string): Profiles {
  const { profiles } = parseRecord(path, text)
  if (typeof profiles !== 'object' || profiles === null) throw damaged(path)
  return Object.fromEntries(Object.entries(profiles).map(([name, value]) => [name, parseProfile(path, value)]))
}

function parseProfile(path: string, value: unknown): Profile {
  const { endpoint, accessKeyId, accessKeySecret, securityToken } = Object(value) as Record<string, unknown>
  if (typeof endpoint !== 'string' || typeof accessKeyId !== 'string' || typeof accessKeySecret !== 'string')
    throw damaged(path)
  const key = { id: accessKeyId, secret: accessKeySecret, ...(typeof securityToken === 'string' && { securityToken }) }
  return { endpoint: parseEndpoint(endpoint), key }
}

function parseRecord(path: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // Said below: the parser's own words would repeat a secret.
  }
  throw damaged(path)
}

const damaged = (path: string) =>
  new AppError('config_invalid', `${path} is not as "tintype configure" writes it: repair or remove it.`)

/** A server's address as it is kept: `http[s]://HOST[:PORT]`. Throws `usage_invalid`. */
export function parseEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isPlain =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === '' &&
    url.pathname === '/'
  if (isPlain) return url.origin
  const wanted = 'https://HOST[:PORT] or http://HOST[:PORT], without a path'
  throw new AppError('usage_invalid', `The endpoint must be ${wanted}, not ${JSON.stringify(text.slice(0, 200))}.`)
}

function checkName(name: string): void {
  if (PROFILE_NAME.test(name)) return
  const wanted = '1 to 64 letters, digits, ".", "_" and "-", and begin with a letter or a digit'
  throw new AppError('usage_invalid', `The name of a profile must be ${wanted}, not ${JSON.stringify(name)}.`)
}

const set = (value: string | undefined) => (value === '' ? undefined : value)
