import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { AppError, systemCode } from '#base/errors.ts'
import type { Store } from '#store/open-store.ts'
import { newAccessKeyId, newAccountId, newSecret } from './generate.ts'
import { KEY_PURPOSE } from './access-keys.ts'
import { SAMPLE_POLICY_NAME, samplePolicy } from './system-policies.ts'

export interface AccountOptions {
  readonly store: Store
  /** TINTYPE_HOME: `credentials.json` is written there. */
  readonly home: string
  readonly accountId?: string | undefined
  readonly rootAccessKey?: RootKey | undefined
  /** What the sample policy lets its users push to. */
  readonly defaultRepository?: string | undefined
}

export interface RootKey {
  readonly id: string
  readonly secret: string
}

const ACCOUNT_SETTING = 'account-id'
const SAMPLE_SETTING = 'sample-policy'

/**
 * The account: its id, a key of its own, and the sample policy, made on the first start. Replicas that start at once
 * agree. The id is that of the configuration or one that was made up; it cannot change, as everything belongs to it.
 * Throws `config_invalid` when it does.
 */
export async function openAccount(options: AccountOptions): Promise<string> {
  const { store, accountId } = options
  const kept = await store.settings.setOnce(ACCOUNT_SETTING, accountId ?? newAccountId())
  if (accountId !== undefined && kept !== accountId)
    throw new AppError('config_invalid', `TINTYPE_ACCOUNT_ID must be ${kept}, which the database was made with.`)
  if (options.rootAccessKey === undefined) await makeRootKey(options)
  await makeSample(options)
  return kept
}

/** The file comes first: a key whose secret nobody could read would be of no use. */
async function makeRootKey({ store, home }: AccountOptions): Promise<void> {
  if ((await store.accessKeys.ofUser('')).length > 0) return
  const { id, secret } = await openCredentials(`${home}/credentials.json`)
  const createdMs = store.clock.wallMs()
  const secretEncrypted = store.secrets.seal(secret, KEY_PURPOSE)
  await store.transaction(async ({ accessKeys }) => {
    if (await accessKeys.find(id)) return // another replica that shares the file
    await accessKeys.insert({ id, userId: '', secretEncrypted, status: 'Active', createdMs })
  })
}

async function openCredentials(path: string): Promise<RootKey> {
  const found = await readCredentials(path)
  if (found) return found
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  await mkdir(path.slice(0, path.lastIndexOf('/')), { recursive: true, mode: 0o700 })
  const file = await open(temporary, 'wx', 0o600)
  try {
    const credentials = { accessKeyId: newAccessKeyId(), accessKeySecret: newSecret() }
    await file.writeFile(`${JSON.stringify(credentials, undefined, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(temporary, path)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  } finally {
    await rm(temporary, { force: true })
  }
  return await openCredentials(path)
}

async function readCredentials(path: string): Promise<RootKey | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw new AppError('permission_denied', `${path} cannot be read: run as the user that owns it.`, { cause: error })
  }
  return parseCredentials(path, text)
}

function parseCredentials(path: string, text: string): RootKey {
  try {
    const { accessKeyId, accessKeySecret } = JSON.parse(text) as Record<string, unknown>
    if (typeof accessKeyId === 'string' && typeof accessKeySecret === 'string')
      return { id: accessKeyId, secret: accessKeySecret }
  } catch {
    // said below
  }
  const message = `${path} must hold accessKeyId and accessKeySecret: remove it, and it is made anew.`
  throw new AppError('config_invalid', message)
}

/** Once: an administrator who deletes it does not want it back. */
async function makeSample({ store, defaultRepository }: AccountOptions): Promise<void> {
  if ((await store.settings.get(SAMPLE_SETTING)) !== undefined) return
  const nowMs = store.clock.wallMs()
  await store.transaction(async ({ settings, policies }) => {
    const policy = {
      name: SAMPLE_POLICY_NAME,
      description: 'A sample: instances of their own, saved to one repository. Put your repository into its condition.',
      defaultVersion: 'v1',
      nextVersion: 2,
      createdMs: nowMs,
      updatedMs: nowMs,
    }
    await settings.set(SAMPLE_SETTING, 'made')
    if (!(await policies.insert(policy))) return
    const document = samplePolicy(defaultRepository)
    await policies.insertVersion({ policyName: policy.name, versionId: 'v1', document, createdMs: nowMs })
  })
}
