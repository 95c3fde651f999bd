import { runProgram } from '#base/process.ts'
import { AppError, toAppError } from '#base/errors.ts'
import type { Environment, HostUser } from './docker-config.ts'

/** A `docker-credential-NAME` program and the config that names it. */
export interface CredentialHelper {
  readonly name: string
  readonly configPath: string
  /** Under sudo: the user whose keychain it is. The helper runs as that user. */
  readonly owner?: HostUser
  readonly env: Environment
}

export interface StoredSecret {
  readonly username: string
  readonly secret: string
}

const TIMEOUT_MS = 60_000 // a keychain may ask its user to unlock it
const NOT_FOUND = /credentials not found/i // docker-credential-helpers, credentials/error.go

/** What the helper has for `server`, or undefined. Throws `config_invalid` when it is not installed, `registry_denied` when it fails. */
export async function askHelper(helper: CredentialHelper, server: string, signal?: AbortSignal) {
  const { exitCode, output } = await runHelper(helper, 'get', server, signal)
  if (exitCode !== 0) {
    if (NOT_FOUND.test(output)) return undefined
    throw helperFailed(helper, server, output)
  }
  return parseSecret(helper, server, output)
}

/** Give the helper a secret to keep. Throws as `askHelper` does. */
export async function tellHelper(helper: CredentialHelper, server: string, stored: StoredSecret, signal?: AbortSignal) {
  const input = JSON.stringify({ ServerURL: server, Username: stored.username, Secret: stored.secret })
  const { exitCode, output } = await runHelper(helper, 'store', input, signal)
  if (exitCode !== 0) throw helperFailed(helper, server, output)
}

async function runHelper(helper: CredentialHelper, action: string, input: string, signal?: AbortSignal) {
  // The name comes from a file that a user may write, and root may run it: a name, never a path.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(helper.name)) throw notInstalled(helper)
  const { owner, env } = helper
  const [command, ...args] = helperCommand(helper, action)
  const options = {
    input,
    env: { ...env, ...(owner && { HOME: owner.home }) },
    timeoutMs: TIMEOUT_MS,
    ...(signal && { signal }),
  }
  try {
    const { exitCode, stdout, stderr, isTimedOut } = await runProgram(command, args, options)
    if (owner && exitCode === 127) throw notInstalled(helper) // setpriv(1): the program was not found
    const output = stdout.toString() || stderr
    return { exitCode, output: isTimedOut ? `it did not end within ${TIMEOUT_MS / 1000} s` : output }
  } catch (error) {
    const failure = toAppError(error)
    if (failure.kind !== 'internal') throw failure
    throw notInstalled(helper)
  }
}

function helperCommand({ name, owner }: CredentialHelper, action: string): readonly [string, ...string[]] {
  const program = `docker-credential-${name}`
  if (!owner) return [program, action]
  return ['setpriv', `--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--init-groups', '--', program, action]
}

function parseSecret(helper: CredentialHelper, server: string, output: string): StoredSecret {
  let json: unknown
  try {
    json = JSON.parse(output)
  } catch {
    throw helperFailed(helper, server, 'its answer is not JSON')
  }
  const { Username, Secret } = (json ?? {}) as { Username?: unknown; Secret?: unknown }
  if (typeof Username !== 'string' || typeof Secret !== 'string')
    throw helperFailed(helper, server, 'its answer has no Username or no Secret')
  return { username: Username, secret: Secret }
}

function notInstalled({ name, configPath }: CredentialHelper): AppError {
  const program = JSON.stringify(`docker-credential-${name}`)
  return new AppError(
    'config_invalid',
    `The credential helper ${program}, which ${configPath} names, cannot be started: install it, or remove it from that file.`,
  )
}

function helperFailed({ name, configPath }: CredentialHelper, server: string, output: string): AppError {
  const why = JSON.stringify(output.trim().split('\n')[0]?.slice(0, 200))
  const text = `The credential helper docker-credential-${name}, which ${configPath} names, failed for ${server}: ${why}.`
  return new AppError('registry_denied', text, { details: { registry: server } })
}
