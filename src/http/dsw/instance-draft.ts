import type { BodyOf } from '#contract/operations.ts'
import type { DatasetDraft, InstanceDraft, NewInstanceDraft } from '#service/instances/draft.ts'
import type { InstanceUpdate } from '#service/instances/update.ts'
import type { RequestedResource } from '#store/instance-record.ts'

type Create = BodyOf<'CreateInstance'>
type Update = BodyOf<'UpdateInstance'>
type Pairs = readonly { readonly Key?: string; readonly Value?: string }[]

/** Accepted, answered as they came, and without effect here. */
const ECHOED = [
  'AccessRestrictionRules',
  'Affinity',
  'AssignNodeSpec',
  'CloudDisks',
  'CredentialConfig',
  'DockerConfig',
  'Driver',
  'DynamicMount',
  'MigrationOptions',
  'SpotSpec',
  'UserVpc',
] as const

/** What CreateInstance asks for. */
export function newDraftOf(body: Create): NewInstanceDraft {
  return {
    ...draftOf(body, body.EnvironmentVariables),
    labels: pairsOf(body.Labels),
    tags: pairsOf(body.Tag),
    ...given('workspaceId', body.WorkspaceId),
    ...given('resourceId', body.ResourceId),
  }
}

/** What UpdateInstance asks for. */
export function updateOf(body: Update): InstanceUpdate {
  const texts = Object.entries(body.EnvironmentVariables ?? {}).map(([name, value]) => [name, String(value)] as const)
  const environment = body.EnvironmentVariables && Object.fromEntries(texts)
  const echo = Object.entries(REMOVED).flatMap(([flag, name]) => (isSet(body, flag) ? [name] : []))
  return {
    draft: draftOf(body, environment),
    removal: {
      echo,
      ...(body.DisassociateDatasets === true && { datasets: true }),
      ...(body.DisassociateEnvironmentVariables === true && { environment: true }),
      ...(body.DisassociateUserCommand === true && { onStart: true }),
    },
    start: body.StartInstance ?? false,
  }
}

const REMOVED = {
  DisassociateAssignNode: 'AssignNodeSpec',
  DisassociateCredential: 'CredentialConfig',
  DisassociateDriver: 'Driver',
  DisassociateForwardInfos: 'UserVpc.ForwardInfos',
  DisassociateMigrationOptions: 'MigrationOptions',
  DisassociateSpot: 'SpotSpec',
  DisassociateVpc: 'UserVpc',
} as const

const isSet = (body: object, flag: string) =>
  Object.entries(body).some(([name, value]) => name === flag && value === true)

function draftOf(
  body: Omit<Create, 'EnvironmentVariables'> | Omit<Update, 'EnvironmentVariables'>,
  environment: Readonly<Record<string, string>> | undefined,
): InstanceDraft {
  return {
    ...given('name', body.InstanceName),
    ...given('accessibility', body.Accessibility),
    ...given('imageId', body.ImageId),
    ...given('imageUrl', body.ImageUrl),
    ...given('imageAuth', body.ImageAuth),
    ...given('ecsSpec', body.EcsSpec),
    ...given('requested', requestedOf(body.RequestedResource)),
    ...given('datasets', body.Datasets?.map(datasetOf)),
    ...given('environment', environment),
    ...given('onStart', body.UserCommand?.OnStart?.Content),
    ...given('priority', body.Priority),
    ...given('oversoldType', body.OversoldType),
    ...given('workspaceSource', body.WorkspaceSource),
    ...given('userId', body.UserId),
    echo: echoOf(body),
  }
}

function datasetOf(dataset: NonNullable<Create['Datasets']>[number]): DatasetDraft {
  return {
    ...given('uri', dataset.Uri),
    ...given('datasetId', dataset.DatasetId),
    ...given('mountPath', dataset.MountPath),
    ...given('access', dataset.MountAccess),
  }
}

function requestedOf(requested: Create['RequestedResource']): RequestedResource | undefined {
  if (requested === undefined) return undefined
  return {
    ...given('cpu', requested.CPU),
    ...given('memory', requested.Memory),
    ...given('sharedMemory', requested.SharedMemory),
    ...given('gpu', requested.GPU),
    ...given('gpuType', requested.GPUType),
  }
}

/** A security token is nobody's to keep: it is left out. */
function echoOf(body: object): Readonly<Record<string, unknown>> {
  const fields = Object.entries(body).filter(([name]) => ECHOED.some((known) => known === name))
  return Object.fromEntries(fields.map(([name, value]) => [name, withoutTokens(value)]))
}

function withoutTokens(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTokens)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([name]) => name !== 'SecurityToken')
  return Object.fromEntries(fields.map(([name, inner]) => [name, withoutTokens(inner)]))
}

/** `Key`/`Value` pairs by key. */
export function pairsOf(pairs: Pairs | undefined): ReadonlyMap<string, string> {
  return new Map((pairs ?? []).map(({ Key = '', Value = '' }) => [Key, Value]))
}

/** One field, or none where it was not given. */
function given<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  return parseGiven<K, V>(value === undefined ? {} : { [name]: value })
}

const parseGiven = <K extends string, V>(fields: object) => fields as { readonly [P in K]?: V }
