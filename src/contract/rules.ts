import type { Action, BodyOf, QueryOf } from './operations.ts'
import type { Problem } from './sentence.ts'

/** What a schema cannot say: how fields depend on each other. A rule gives the first problem, or undefined. */
type Rule<T> = (value: T) => Problem | undefined
type BodyRules = { readonly [A in Action]?: Rule<BodyOf<A>> }
type QueryRules = { readonly [A in Action]?: Rule<QueryOf<A>> }

type Labels = readonly { readonly Key?: string; readonly Value?: string }[]
type Datasets = NonNullable<BodyOf<'UpdateInstance'>['Datasets']>

/** dsw-api §1.4: ListInstances filters by four labels at most. */
const LABEL_FILTERS = 4
const VARIABLE_NAME = /^[^\s=]+$/

const BODY_RULES: BodyRules = {
  CreateInstanceSnapshot: (body) => labelsProblem(body.Labels, 'Labels'),
  CreateInstance: (body) =>
    imageProblem(body) ??
    imageAuthProblem(body.ImageAuth) ??
    datasetsProblem(body.Datasets) ??
    environmentProblem(body.EnvironmentVariables) ??
    labelsProblem(body.Labels, 'Labels') ??
    labelsProblem(body.Tag, 'Tag'),
  UpdateInstance: (body) =>
    imageAuthProblem(body.ImageAuth) ?? datasetsProblem(body.Datasets) ?? environmentProblem(body.EnvironmentVariables),
  UpdateInstanceLabels: (body) => labelsProblem(body.Labels, 'Labels'),
  CreateInstanceShutdownTimer: (body) => {
    const given = [body.DueTime, body.RemainingTimeInMs].filter((value) => value !== undefined)
    return when(given.length !== 1, 'DueTime', 'Give either DueTime or RemainingTimeInMs.')
  },
  AddImage: (body) => labelsProblem(body.Labels, 'Labels'),
  AddImageLabels: (body) => labelsProblem(body.Labels, 'Labels'),
  CreateSchedule: (body) => timeZoneProblem(body.TimeZone),
  UpdateSchedule: (body) => timeZoneProblem(body.TimeZone),
  CreateRegistry: (body) => credentialsProblem(body),
  UpdateRegistry: (body) => credentialsProblem(body),
}

const QUERY_RULES: QueryRules = {
  ListInstances: ({ Labels = {}, Tag }) => {
    const values = Object.values(Labels)
    return (
      when(
        values.length > LABEL_FILTERS,
        'Labels',
        `Labels has ${values.length} pairs; ${LABEL_FILTERS} is the most.`,
      ) ??
      when(!values.every((value) => typeof value === 'string'), 'Labels', 'Labels must have a text for each key.') ??
      labelsProblem(Tag, 'Tag')
    )
  },
  CreatePolicy: ({ Tag }) => labelsProblem(Tag, 'Tag'),
  CreateRole: ({ Tag }) => labelsProblem(Tag, 'Tag'),
}

/** The first rule that a valid body of `action` breaks. */
export function bodyProblem(action: string, body: unknown): Problem | undefined {
  return apply(BODY_RULES, action, body)
}

/** The first rule that a valid query of `action` breaks. */
export function queryProblem(action: string, query: unknown): Problem | undefined {
  return apply(QUERY_RULES, action, query)
}

/** `value` has passed the schema of `action`, so it is what the rule of that name takes. */
function apply(rules: object, action: string, value: unknown): Problem | undefined {
  const rule = (rules as Readonly<Record<string, Rule<unknown>>>)[action]
  return rule?.(value)
}

function when(isWrong: boolean, field: string, sentence: string): Problem | undefined {
  return isWrong ? { field, sentence } : undefined
}

function labelsProblem(labels: Labels | undefined, field: string): Problem | undefined {
  const seen = new Set<string>()
  for (const [index, { Key = '' }] of (labels ?? []).entries()) {
    const at = `${field}[${index}].Key`
    if (Key === '') return { field: at, sentence: `${at} is missing; give each a key.` }
    if (seen.has(Key))
      return { field: at, sentence: `${at} is ${JSON.stringify(Key)} a second time; give each key once.` }
    seen.add(Key)
  }
  return undefined
}

function imageProblem(body: BodyOf<'CreateInstance'>): Problem | undefined {
  const hasImage = [body.ImageId, body.ImageUrl].some((value) => value !== undefined && value !== '')
  return when(!hasImage, 'ImageUrl', 'ImageUrl is missing; give it or an ImageId.')
}

/** The decoded text is never shown: it has a password. */
function imageAuthProblem(imageAuth: string | undefined): Problem | undefined {
  const isWrong = imageAuth !== undefined && imageAuth !== '' && !/^[^:]+:/.test(atob(imageAuth))
  return when(isWrong, 'ImageAuth', 'ImageAuth must be the Base64 text of USER:PASSWORD.')
}

function datasetsProblem(datasets: Datasets = []): Problem | undefined {
  const paths = new Set<string>()
  for (const [index, dataset] of datasets.entries()) {
    const field = `Datasets[${index}]`
    const { DatasetId: id, Uri: uri, MountPath: path } = dataset
    const problem =
      when((id === undefined) === (uri === undefined), field, `${field} must have either a DatasetId or a Uri.`) ??
      when(
        dataset.DatasetVersion !== undefined && id === undefined,
        `${field}.DatasetVersion`,
        `${field}.DatasetVersion is only for a DatasetId; leave it out.`,
      ) ??
      when(
        dataset.Options !== undefined && dataset.OptionType !== undefined,
        `${field}.OptionType`,
        `${field} must not have both Options and OptionType; leave out OptionType.`,
      ) ??
      when(
        path !== undefined && paths.has(path),
        `${field}.MountPath`,
        `${field}.MountPath is that of another dataset; give each its own.`,
      )
    if (problem !== undefined) return problem
    if (path !== undefined) paths.add(path)
  }
  return undefined
}

/** The values are not shown: they may be secrets. */
function environmentProblem(variables: Readonly<Record<string, unknown>> = {}): Problem | undefined {
  for (const [name, value] of Object.entries(variables)) {
    const field = `EnvironmentVariables.${name}`
    if (!VARIABLE_NAME.test(name))
      return { field, sentence: `${field} cannot be set; a name has no "=" and no white space.` }
    if (!['string', 'number', 'boolean'].includes(typeof value)) return { field, sentence: `${field} must be a text.` }
  }
  return undefined
}

function timeZoneProblem(timeZone: string | undefined): Problem | undefined {
  if (timeZone === undefined) return undefined
  try {
    new Intl.DateTimeFormat('en', { timeZone })
    return undefined
  } catch {
    return {
      field: 'TimeZone',
      sentence: `TimeZone must be a name of the time zone database like Europe/Berlin, not ${JSON.stringify(timeZone)}.`,
    }
  }
}

function credentialsProblem(body: BodyOf<'UpdateRegistry'>): Problem | undefined {
  const isWrong = (body.UserName === undefined) !== (body.Password === undefined)
  return when(isWrong, 'Password', 'Give UserName and Password together.')
}
