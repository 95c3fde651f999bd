import { loadavg } from 'node:os'
import type { SigningKey } from '#access/sign.ts'
import { AppError } from '#base/errors.ts'
import type { PostgresCluster } from '#lab/postgres.ts'
import { startPostgres } from '#lab/postgres.ts'
import { startServer, type TestServer } from '#lab/server.ts'
import { signedClient } from '#lab/signed-client.ts'
import type { ApiFigure } from './api-figures.ts'
import type { ApiOptions } from './api-options.ts'
import { fillStore, instanceIdOf, snapshotIdOf } from './fill-store.ts'
import { cpuMsOf, load, pin } from './load.ts'

/** The server's and the tool's; PostgreSQL may use both. */
export const [SERVER_CORE, TOOL_CORE] = [0, 1]
/** So many requests are on their way at once. */
const [GET_CONNECTIONS, LIST_CONNECTIONS] = [20, 4]
/** Lists are for people who look at them. */
const LISTS_PER_SECOND = 20
const WARM_SECONDS = 5
/** How many different snapshots and instances are asked for. */
const TARGETS = 2000

export type Say = (text: string) => void

/** All loads on a server with a full store: on SQLite, then on PostgreSQL. */
export async function measureStores(options: ApiOptions, say: Say): Promise<readonly ApiFigure[]> {
  await using cluster = await startPostgres()
  const figures: ApiFigure[] = []
  for (const database of ['SQLite', 'PostgreSQL'] as const) {
    await using server = await startServer({
      env: { TINTYPE_RATE_LIMIT: '0' },
      ...(database === 'PostgreSQL' && { database: await cluster.createDatabase() }),
    })
    figures.push(...(await measureStore({ server, database, cluster, options }, say)))
  }
  return figures
}

interface Subject {
  readonly server: TestServer
  readonly database: ApiFigure['database']
  readonly cluster: PostgresCluster
  readonly options: ApiOptions
}

async function measureStore(subject: Subject, say: Say): Promise<readonly ApiFigure[]> {
  const { server, database, cluster, options } = subject
  const user = await createUser(server)
  say(`${database}: ${options.instances} instances and ${options.snapshots} snapshots`)
  const template = await createTemplate(server)
  await fillStore(server.database, { ...options, userId: user.userId, template }, cluster)
  await pin(server.pid(), SERVER_CORE)
  const figures: ApiFigure[] = []
  for (const asked of loadsOf(options, database)) {
    say(`${database}: ${asked.figure}`)
    const { mustReach, figure, isUser, ...how } = asked
    const order = { url: server.url, key: isUser ? user.key : server.rootKey, ...how }
    await load({ ...order, seconds: Math.min(WARM_SECONDS, options.seconds) }, TOOL_CORE)
    const loadAverage = loadavg()[0]!
    const cpuMs = cpuMsOf(server.pid())
    const result = await load({ ...order, seconds: options.seconds }, TOOL_CORE)
    const usedMs = cpuMsOf(server.pid()) - cpuMs
    figures.push({ figure, database, mustReach, result, cpuMs: usedMs / result.answers, loadAverage })
  }
  return figures
}

/** An instance with what people give theirs. There is no engine: it is not started. */
async function createTemplate(server: TestServer): Promise<string> {
  const body = {
    InstanceName: 'template',
    EcsSpec: 'ecs.n4.small',
    ImageUrl: 'registry.example.com/lab/torch:v1',
    EnvironmentVariables: { HF_TOKEN: 'hf_0123456789', WANDB_PROJECT: 'vision' },
    UserCommand: { OnStart: { Content: 'pip install -r /mnt/workspace/requirements.txt' } },
  }
  const answer = await signedClient(server.url, server.rootKey)('POST /api/v2/instances', { body })
  if (answer.status === 200) return String(answer.json['InstanceId'])
  throw new AppError('internal', `CreateInstance: ${answer.text}`)
}

/** Somebody who may look at what is theirs or public: what is others' has to be left out of the lists. */
async function createUser(server: TestServer): Promise<{ readonly userId: string; readonly key: SigningKey }> {
  const call = signedClient(server.url, server.rootKey)
  const ram = async (action: string, query: Record<string, string>) => {
    const answer = await call('POST /', { action, version: '2015-05-01', query: `${new URLSearchParams(query)}` })
    if (answer.status !== 200) throw new AppError('internal', `${action}: ${answer.text}`)
    return answer.json as Record<string, Record<string, string>>
  }
  const UserName = 'ann'
  const user = await ram('CreateUser', { UserName })
  const allowed = ['paidsw:ListInstances', 'paidsw:GetInstance']
  const statement = { Effect: 'Allow', Action: allowed, Resource: '*' }
  const PolicyDocument = JSON.stringify({ Version: '1', Statement: [statement] }).replaceAll(' ', '')
  await ram('CreatePolicy', { PolicyName: 'look', PolicyDocument })
  await ram('AttachPolicyToUser', { PolicyName: 'look', PolicyType: 'Custom', UserName })
  const { AccessKey } = await ram('CreateAccessKey', { UserName })
  const key = { id: AccessKey?.['AccessKeyId'] ?? '', secret: AccessKey?.['AccessKeySecret'] ?? '' }
  return { userId: user['User']?.['UserId'] ?? '', key }
}

interface Load {
  readonly figure: string
  readonly mustReach: ApiFigure['mustReach']
  readonly connections: number
  readonly perSecond?: number
  readonly targets: readonly string[]
  /** Asked for by the user, not by the account. */
  readonly isUser?: boolean
}

function* loadsOf({ instances, snapshots }: ApiOptions, database: ApiFigure['database']): Generator<Load> {
  const some = Array.from({ length: TARGETS }, (_, i) => (i * 7919) % snapshots)
  const snapshotsOf = (number: number) => `/api/v2/instances/${instanceIdOf(number % instances)}/snapshots`
  yield {
    figure: 'GetInstanceSnapshot',
    mustReach: database === 'SQLite' ? { perSecond: 2000, p99Ms: 50 } : undefined, // one core is the server's alone there
    connections: GET_CONNECTIONS,
    targets: some.map((number) => `${snapshotsOf(number)}/${snapshotIdOf(number)}`),
  }
  const list = { mustReach: { p99Ms: 50 }, connections: LIST_CONNECTIONS, perSecond: LISTS_PER_SECOND }
  const LIST = '/api/v2/instances'
  const lastPage = Math.floor(instances / 100)
  yield { ...list, figure: 'ListInstances', targets: [LIST] }
  yield { ...list, figure: 'ListInstances of a user', targets: [LIST], isUser: true }
  yield { ...list, figure: 'ListInstances, 100 of the last', targets: [`${LIST}?PageSize=100&PageNumber=${lastPage}`] }
  yield { ...list, figure: 'ListInstances by priority', targets: [`${LIST}?SortBy=Priority&Order=DESC`], isUser: true }
  yield { ...list, figure: 'ListInstances by status', targets: [`${LIST}?Status=Failed`], isUser: true }
  yield { ...list, figure: 'ListInstances by name', targets: [`${LIST}?InstanceName=train_77`], isUser: true }
  yield { ...list, figure: 'ListInstanceSnapshot', targets: some.map(snapshotsOf) }
}
