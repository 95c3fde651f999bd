import { usage } from '#cli/arguments.ts'
import type { BodyOf } from '#contract/operations.ts'
import { pairs, present, readPassword } from './command.ts'
import type { CommandContext } from './command.ts'

/** What `instance create` and `instance update` take. */
export const FIELD_OPTIONS = {
  image: 'value',
  'image-url': 'value',
  'image-username': 'value',
  'password-stdin': 'flag',
  name: 'value',
  cpu: 'value',
  memory: 'value',
  gpu: 'value',
  'shared-memory': 'value',
  env: 'values',
  dataset: 'values',
  'on-start': 'value',
  label: 'values',
  accessibility: 'value',
  'idle-minutes': 'value',
} as const

/** What both take, as the API does. */
type InstanceFields = Omit<BodyOf<'UpdateInstance'>, 'EnvironmentVariables'> & {
  readonly EnvironmentVariables?: Record<string, string>
}
type Resource = NonNullable<InstanceFields['RequestedResource']>

/** Ten years: far longer than anything is idle. */
const MOST_MINUTES = 5_256_000

/** The fields that the options say; a password is asked for, or piped in. Throws `usage_invalid`. */
export async function instanceFields(context: CommandContext): Promise<InstanceFields> {
  const { given } = context
  const onStart = given.value('on-start')
  const resource = requestedResource(context)
  const environment = environmentOf(context)
  const datasets = given.values('dataset').map((text) => dataset(context, text))
  return present({
    ImageId: given.value('image'),
    ImageUrl: given.value('image-url'),
    ImageAuth: await imageAuth(context),
    InstanceName: given.value('name'),
    Accessibility: accessibility(context),
    RequestedResource: Object.keys(resource).length > 0 ? resource : undefined,
    EnvironmentVariables: Object.keys(environment).length > 0 ? environment : undefined,
    Datasets: datasets.length > 0 ? datasets : undefined,
    UserCommand: onStart === undefined ? undefined : { OnStart: { Content: onStart } },
  })
}

/** The login for the image's registry: the Base64 text of USER:PASSWORD. */
async function imageAuth(context: CommandContext): Promise<string | undefined> {
  const { given, syntax } = context
  const name = given.value('image-username')
  if (name === undefined) {
    if (given.hasFlag('password-stdin')) throw usage(syntax, 'needs --image-username NAME with --password-stdin')
    return undefined
  }
  if (name.includes(':')) throw usage(syntax, 'needs a user name without a colon')
  const password = await readPassword(context, `Password of ${name} for the image's registry: `)
  return Buffer.from(`${name}:${password}`).toString('base64')
}

function requestedResource({ given }: CommandContext): Resource {
  return present({
    CPU: given.value('cpu'),
    Memory: given.value('memory'),
    GPU: given.value('gpu'),
    SharedMemory: given.value('shared-memory'),
  })
}

/** `--accessibility`, in any case. Throws `usage_invalid`. */
export function accessibility({ given, syntax }: CommandContext): 'PUBLIC' | 'PRIVATE' | undefined {
  const text = given.value('accessibility')
  const found = (['PUBLIC', 'PRIVATE'] as const).find((each) => each === text?.toUpperCase())
  if (text === undefined || found !== undefined) return found
  throw usage(syntax, `--accessibility must be public or private, not ${JSON.stringify(text)}`)
}

/** `KEY=VALUE`; or `KEY` alone, whose value our own environment has, so that it is on no command line. */
function environmentOf({ given, syntax, env }: CommandContext): Record<string, string> {
  const entries = given.values('env').map((text) => {
    const equals = text.indexOf('=')
    const name = equals < 0 ? text : text.slice(0, equals)
    const value = equals < 0 ? env[name] : text.slice(equals + 1)
    if (name !== '' && value !== undefined) return [name, value] as const
    throw usage(syntax, `--env must be KEY=VALUE, or KEY of a variable that is set, not ${JSON.stringify(name)}`)
  })
  return Object.fromEntries(entries)
}

/** `SOURCE:PATH[:ro]`; a plain path is one of the server's host. */
function dataset({ syntax }: CommandContext, text: string) {
  const [, source, path, mode = 'rw'] = /^(.+):(\/[^:]*?)(?::(ro|rw))?$/.exec(text) ?? []
  if (
    source === undefined ||
    path === undefined ||
    !(source.startsWith('/') || /^[a-z][a-z0-9+.-]*:\/\//i.test(source))
  )
    throw usage(
      syntax,
      `--dataset must be SOURCE:PATH or SOURCE:PATH:ro, such as /srv/data:/mnt/data, not ${JSON.stringify(text)}`,
    )
  const uri = source.startsWith('/') ? `file://${source.split('/').map(encodeURIComponent).join('/')}` : source
  return { Uri: uri, MountPath: path, MountAccess: mode === 'ro' ? ('RO' as const) : ('RW' as const) }
}

/** `--idle-minutes`; 0 is for never. */
export function idleMinutes({ given }: CommandContext): number | undefined {
  return given.whole('idle-minutes', { min: 0, max: MOST_MINUTES })
}

/** The labels, or undefined when none is given. */
export function labelsOf(context: CommandContext): ReturnType<typeof pairs> | undefined {
  const labels = pairs(context, 'label')
  return labels.length > 0 ? labels : undefined
}
