import { chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError, systemCode } from '#base/errors.ts'
import { makeDirectory } from '#base/make-directory.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** A user of this host, from a line of /etc/passwd. */
export interface HostUser {
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** Where a Docker config is, and whose it is when it is not the user's who runs us. */
export interface DockerConfigPlace {
  readonly path: string
  readonly owner?: HostUser
}

/** Entry of `auths`, as the Docker CLI writes it (docker/cli, config/types/authconfig.go). */
export interface AuthEntry {
  readonly auth?: string
  readonly username?: string
  readonly password?: string
  readonly identitytoken?: string
}

/** The part of `config.json` that is about credentials; `rest` is everything else, kept as it was. */
export interface DockerConfig {
  readonly auths: Readonly<Record<string, AuthEntry>>
  readonly credHelpers: Readonly<Record<string, string>>
  readonly credsStore?: string
  readonly rest: Readonly<Record<string, unknown>>
}

const EMPTY: DockerConfig = { auths: {}, credHelpers: {}, rest: {} }

/** Who runs us; an argument so that tests need not be root or have users. */
export interface Identity {
  readonly uid: number
  readonly passwdPath: string
}

export const currentIdentity = (): Identity => ({ uid: process.getuid?.() ?? -1, passwdPath: '/etc/passwd' })

/**
 * The config files to ask, in order: `DOCKER_CONFIG` alone when it is set; else the one of `HOME`, then under sudo the
 * invoking user's (design.md §8). SUDO_USER counts for root only: nobody else can act for another user.
 */
export async function findDockerConfigs(env: Environment, identity: Identity): Promise<readonly DockerConfigPlace[]> {
  if (env.DOCKER_CONFIG) return [{ path: join(env.DOCKER_CONFIG, 'config.json') }]
  const places: DockerConfigPlace[] = env.HOME ? [{ path: join(env.HOME, '.docker/config.json') }] : []
  const name = env.SUDO_USER
  if (identity.uid !== 0 || !name || name === 'root') return places
  const owner = await findUser(name, identity.passwdPath)
  if (owner && owner.home !== env.HOME) places.push({ path: join(owner.home, '.docker/config.json'), owner })
  return places
}

async function findUser(name: string, passwdPath: string): Promise<HostUser | undefined> {
  const text = await readFile(passwdPath, 'utf8')
  const fields = text.split('\n').map((line) => line.split(':'))
  const [, , uid = '', gid = '', , home = ''] = fields.find(([first]) => first === name) ?? []
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid) || !home.startsWith('/')) return undefined
  return { uid: Number(uid), gid: Number(gid), home }
}

/** The config at `path`; empty when there is none. Throws `config_invalid`; no byte of the file is in the message. */
export async function readDockerConfig(path: string): Promise<DockerConfig> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const code = systemCode(cause)
    if (code === 'ENOENT' || code === 'ENOTDIR') return EMPTY
    throw brokenConfig(path, `cannot be read (${code})`)
  }
  if (text.trim() === '') return EMPTY
  return parseDockerConfig(path, text)
}

/** `text` as a config. Throws `config_invalid`, naming the field. */
export function parseDockerConfig(path: string, text: string): DockerConfig {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw brokenConfig(path, 'is not valid JSON') // the parser's own words quote the file, which holds passwords
  }
  if (!isRecord(json)) throw brokenConfig(path, 'must hold a JSON object')
  const { auths = {}, credHelpers = {}, credsStore, ...rest } = json
  if (!isRecord(auths) || !Object.values(auths).every(isAuthEntry))
    throw brokenConfig(path, 'has an "auths" that is not an object of entries such as {"auth": "…"}')
  if (!isRecord(credHelpers) || !Object.values(credHelpers).every((name) => typeof name === 'string'))
    throw brokenConfig(path, 'has a "credHelpers" that is not an object of helper names')
  if (credsStore !== undefined && typeof credsStore !== 'string')
    throw brokenConfig(path, 'has a "credsStore" that is not the name of a helper')
  return {
    auths: auths as Record<string, AuthEntry>,
    credHelpers: credHelpers as Record<string, string>,
    ...(credsStore && { credsStore }),
    rest,
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const AUTH_FIELDS = ['auth', 'username', 'password', 'identitytoken'] as const

const isAuthEntry = (value: unknown) =>
  isRecord(value) && AUTH_FIELDS.every((name) => value[name] === undefined || typeof value[name] === 'string')

const brokenConfig = (path: string, what: string) =>
  new AppError('config_invalid', `The Docker configuration ${path} ${what}: repair it, or run "docker login" again.`)

/**
 * Write the config in one step: readers see the old file or the new one. Mode 0600, owned by the file's old owner, or by
 * the owner of its directory when it is new, so that `sudo` leaves no root file in a user's home.
 */
export async function writeDockerConfig(path: string, config: DockerConfig): Promise<void> {
  try {
    await mkdirOwned(dirname(path))
    const target = await realpath(path).catch(() => path) // as the Docker CLI: a symlinked config stays a symlink
    const owner = await stat(target).catch(() => stat(dirname(target)))
    await replaceFile(target, encodeDockerConfig(config), owner)
  } catch (cause) {
    const text = `The Docker configuration ${path} cannot be written (${systemCode(cause) ?? 'unexpected'})`
    throw new AppError('permission_denied', `${text}: check who owns it and whether its disk is full.`, { cause })
  }
}

function encodeDockerConfig({ rest, auths, credHelpers, credsStore }: DockerConfig): string {
  const helpers = Object.keys(credHelpers).length > 0 && { credHelpers }
  return `${JSON.stringify({ auths, ...helpers, ...(credsStore && { credsStore }), ...rest }, null, '\t')}\n`
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

async function mkdirOwned(directory: string): Promise<void> {
  const first = await makeDirectory(directory, 0o700)
  if (first === undefined) return
  const { uid, gid } = await stat(dirname(first))
  for (let path = directory; path.length >= first.length; path = dirname(path)) await chown(path, uid, gid)
}

async function replaceFile(path: string, text: string, owner: Owner): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  await rm(temporary, { force: true }) // of a process that had this pid before
  try {
    await using file = await open(temporary, 'wx', 0o600)
    await file.writeFile(text)
    if (process.getuid?.() === 0) await file.chown(owner.uid, owner.gid)
    await file.sync()
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
