import { parsePolicy } from '#access/policy.ts'
import type { PolicyRow, PolicyVersionRow } from '#store/schema-identities.ts'
import type { Tables } from '#store/tables.ts'
import { alreadyExists, inUse, limitReached, notFound } from './failures.ts'
import { pageOf, type IdentityParts, type Page, type PageRequest } from './parts.ts'
import { SYSTEM_POLICIES } from './system-policies.ts'

const MAX_POLICIES = 1_500 // RAM's own limits
const MAX_VERSIONS = 5
const SYSTEM_SINCE_MS = Date.UTC(2026, 10, 1)

export type PolicyType = 'System' | 'Custom'

export interface PolicyName {
  readonly type: PolicyType
  readonly name: string
}

export interface PolicyFacts extends PolicyName {
  readonly description: string
  readonly defaultVersion: string
  readonly createdMs: number
  readonly updatedMs: number
  readonly attachmentCount: number
}

export type VersionFacts = Pick<PolicyVersionRow, 'versionId' | 'document' | 'createdMs'> & {
  readonly isDefault: boolean
}

export interface NewPolicy {
  readonly name: string
  readonly document: string
  readonly description?: string | undefined
}

export interface NewVersion {
  readonly name: string
  readonly document: string
  readonly isDefault: boolean
  /** With five versions already: drop the oldest that is not the default, instead of a refusal. */
  readonly rotate: boolean
}

export interface Policies {
  /** Throws `policy_invalid`, `EntityAlreadyExists.Policy`, `LimitExceeded.Policy`. */
  create(policy: NewPolicy): Promise<PolicyFacts>
  /** With its default version. Throws `EntityNotExist.Policy`, as all that follow do. */
  get(policy: PolicyName): Promise<{ readonly policy: PolicyFacts; readonly version: VersionFacts }>
  /** Those of the system first; `after` is the name of a policy with its type before it. */
  list(page: PageRequest & { readonly type?: PolicyType | undefined }): Promise<Page<PolicyFacts>>
  /** Throws `DeleteConflict.Policy.User` while it is attached; without `versionsToo`, `DeleteConflict.Policy.Version`. */
  remove(name: string, options: { readonly versionsToo: boolean }): Promise<void>
  /** Throws `policy_invalid`, `LimitExceeded.Policy.Version`. */
  createVersion(version: NewVersion): Promise<VersionFacts>
  listVersions(policy: PolicyName): Promise<readonly VersionFacts[]>
  /** Throws `EntityNotExist.Policy.Version`, as the next two do. */
  getVersion(policy: PolicyName, versionId: string): Promise<VersionFacts>
  setDefaultVersion(name: string, versionId: string): Promise<void>
  /** Throws `DeleteConflict.Policy.Version.Default`. */
  removeVersion(name: string, versionId: string): Promise<void>
}

/** Throws `EntityNotExist.Policy`. */
export async function requirePolicy(tables: Pick<Tables, 'policies'>, { type, name }: PolicyName): Promise<PolicyRow> {
  const policy = type === 'System' ? systemRow(name) : await tables.policies.find(name)
  if (policy === undefined) throw notFound('Policy', `The ${type.toLowerCase()} policy ${name}`)
  return policy
}

function systemRow(name: string): PolicyRow | undefined {
  const policy = SYSTEM_POLICIES.get(name)
  if (policy === undefined) return undefined
  const times = { createdMs: SYSTEM_SINCE_MS, updatedMs: SYSTEM_SINCE_MS }
  return { name, description: policy.description, defaultVersion: 'v1', nextVersion: 2, ...times }
}

function systemVersion({ name, createdMs }: PolicyRow): VersionFacts {
  const document = SYSTEM_POLICIES.get(name)?.document ?? ''
  return { versionId: 'v1', document, createdMs, isDefault: true }
}

const versionFacts = ({ versionId, document, createdMs }: PolicyVersionRow, { defaultVersion }: PolicyRow) => ({
  versionId,
  document,
  createdMs,
  isDefault: versionId === defaultVersion,
})

async function requireVersion(
  tables: Pick<Tables, 'policies'>,
  ref: PolicyName,
  versionId: string,
): Promise<VersionFacts> {
  const policy = await requirePolicy(tables, ref)
  if (ref.type === 'System' && versionId === policy.defaultVersion) return systemVersion(policy)
  const version = ref.type === 'Custom' ? await tables.policies.findVersion(ref.name, versionId) : undefined
  if (version === undefined) throw notFound('Policy.Version', `The version ${versionId} of the policy ${ref.name}`)
  return versionFacts(version, policy)
}

async function factsOf(tables: Tables, type: PolicyType, rows: readonly PolicyRow[]): Promise<readonly PolicyFacts[]> {
  const names = rows.map(({ name }) => name)
  const counts = await tables.attachments.countByPolicy(type, names)
  return rows.map(({ name, description, defaultVersion, createdMs, updatedMs }) => {
    const attachmentCount = counts.get(name) ?? 0
    return { type, name, description, defaultVersion, createdMs, updatedMs, attachmentCount }
  })
}

async function createPolicy({ policies }: Tables, fields: NewPolicy, nowMs: number): Promise<PolicyFacts> {
  const { name, document, description = '' } = fields
  if ((await policies.count()) >= MAX_POLICIES) throw limitReached('Policy', `There are ${MAX_POLICIES} policies`)
  const facts = { name, description, defaultVersion: 'v1', createdMs: nowMs, updatedMs: nowMs }
  const isNew = !SYSTEM_POLICIES.has(name) && (await policies.insert({ ...facts, nextVersion: 2 }))
  if (!isNew) throw alreadyExists('Policy', `The policy ${name}`)
  await policies.insertVersion({ policyName: name, versionId: 'v1', document, createdMs: nowMs })
  return { ...facts, type: 'Custom', attachmentCount: 0 }
}

async function removePolicy(tables: Tables, name: string, versionsToo: boolean): Promise<void> {
  await requirePolicy(tables, { type: 'Custom', name })
  const [attached] = await tables.attachments.ofPolicy({ policyType: 'Custom', policyName: name })
  const what = `The policy ${name}`
  if (attached !== undefined)
    throw inUse(attached.principalKind === 'user' ? 'Policy.User' : 'Policy.Role', what, 'detach it from everybody')
  if (!versionsToo && (await tables.policies.versionsOf(name)).length > 1)
    throw inUse('Policy.Version', what, 'delete its versions that are not the default')
  await tables.policies.remove(name)
}

async function createVersion({ policies }: Tables, wanted: NewVersion, nowMs: number): Promise<VersionFacts> {
  const { name, document, isDefault, rotate } = wanted
  const policy = await requirePolicy({ policies }, { type: 'Custom', name })
  const versions = await policies.versionsOf(name)
  if (versions.length >= MAX_VERSIONS) {
    const oldest = versions.find(({ versionId }) => versionId !== policy.defaultVersion)
    if (!rotate || oldest === undefined)
      throw limitReached('Policy.Version', `The policy ${name} has ${MAX_VERSIONS} versions, as many as it may have`)
    await policies.removeVersion(name, oldest.versionId)
  }
  const versionId = `v${policy.nextVersion}`
  await policies.insertVersion({ policyName: name, versionId, document, createdMs: nowMs })
  const patch = { nextVersion: policy.nextVersion + 1, updatedMs: nowMs }
  await policies.update(name, isDefault ? { ...patch, defaultVersion: versionId } : patch)
  return { versionId, document, createdMs: nowMs, isDefault }
}

/** A page over two lists, first those of the system: their names are few, and all are known. */
async function listPolicies(
  store: Tables,
  { after = '', limit, type }: PageRequest & { readonly type?: PolicyType | undefined },
) {
  const marked = /^(System|Custom):(.*)$/s.exec(after)
  const startsIn = marked?.[1] ?? 'System'
  const name = marked?.[2] ?? ''
  const isWanted = (wanted: PolicyType) => type === undefined || type === wanted
  const found: PolicyFacts[] = []
  if (isWanted('System') && startsIn === 'System') {
    const rows = [...SYSTEM_POLICIES.keys()].filter((one) => one > name).flatMap((one) => systemRow(one) ?? [])
    found.push(...(await factsOf(store, 'System', rows.slice(0, limit + 1))))
  }
  if (isWanted('Custom') && found.length <= limit) {
    const page = { after: startsIn === 'Custom' ? name : '', limit: limit + 1 - found.length }
    found.push(...(await factsOf(store, 'Custom', await store.policies.list(page))))
  }
  return pageOf(found, limit, (policy) => `${policy.type}:${policy.name}`)
}

export function policiesService({ store, change }: IdentityParts): Policies {
  return {
    async create(fields) {
      parsePolicy(fields.document)
      return await change((tables, nowMs) => createPolicy(tables, fields, nowMs))
    },
    async get(ref) {
      const row = await requirePolicy(store, ref)
      const [policy] = await factsOf(store, ref.type, [row])
      if (policy === undefined) throw notFound('Policy', `The policy ${ref.name}`)
      return { policy, version: await requireVersion(store, ref, row.defaultVersion) }
    },
    list: (page) => listPolicies(store, page),
    remove: (name, { versionsToo }) => change((tables) => removePolicy(tables, name, versionsToo)),
    async createVersion(version) {
      parsePolicy(version.document)
      return await change((tables, nowMs) => createVersion(tables, version, nowMs))
    },
    async listVersions(ref) {
      const policy = await requirePolicy(store, ref)
      if (ref.type === 'System') return [systemVersion(policy)]
      return (await store.policies.versionsOf(ref.name)).map((version) => versionFacts(version, policy))
    },
    getVersion: (ref, versionId) => requireVersion(store, ref, versionId),
    setDefaultVersion: (name, versionId) =>
      change(async (tables, updatedMs) => {
        await requireVersion(tables, { type: 'Custom', name }, versionId)
        await tables.policies.update(name, { defaultVersion: versionId, updatedMs })
      }),
    removeVersion: (name, versionId) =>
      change(async (tables) => {
        const { isDefault } = await requireVersion(tables, { type: 'Custom', name }, versionId)
        const what = `The version ${versionId} of the policy ${name}`
        if (isDefault) throw inUse('Policy.Version.Default', what, 'make another version the default')
        await tables.policies.removeVersion(name, versionId)
      }),
  }
}
