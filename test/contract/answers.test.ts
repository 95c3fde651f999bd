import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, before, test } from 'node:test'
import { sleep } from '#base/abort.ts'
import { answerCoverage, requestCoverage, type FieldCoverage, type Remark } from '#contract/coverage.ts'
import { OPERATIONS, type Action } from '#contract/operations.ts'
import { signedClient, type Answer } from '#lab/signed-client.ts'
import { openWorld, type World } from '#lab/world.ts'
import { DOCUMENTED } from './contract-file.ts'
import { compareAnswer, type Shown } from './documented-answer.ts'
import { encodeQuery, fullRequest, hasPath, type Chosen } from './full-request.ts'

/**
 * There is no GPU here, the engine of the lab has no network, what an instance prints has no time, and nobody is denied
 * anything.
 */
const NEVER_SHOWN: Readonly<Partial<Record<Action, readonly string[]>>> = {
  ListEcsSpecs: ['EcsSpecs[].GPUMemorySize', 'EcsSpecs[].GPUType'],
  GetInstance: [
    'InstanceUrl',
    'JupyterlabUrl',
    'PodIps[].InterfaceName',
    'PodIps[].Ip',
    'PodIps[].Type',
    'TerminalUrl',
  ],
  ListInstances: ['Instances[].InstanceUrl', 'Instances[].JupyterlabUrl', 'Instances[].TerminalUrl'],
  GetMetrics: ['NextToken'],
  ListSystemLogs: ['SystemLogs[].GmtCreateTime'],
  StopInstances: ['AccessDeniedDetail'],
  DeleteInstances: ['AccessDeniedDetail'],
}
/** An instance has metrics after a while, which may have passed by then. */
const SHOWN_LATER: typeof NEVER_SHOWN = {
  GetInstanceMetrics: ['PodMetrics[].Metrics[].Time', 'PodMetrics[].Metrics[].Value', 'PodMetrics[].PodId'],
}
const LIMIT_MS = 120_000
/** What the operations are about: made by those that come first. */
const made = {
  instance: '',
  other: '',
  ecsSpec: '',
  savedImage: '',
  snapshot: '',
  image: '',
  task: '',
  token: '',
  file: '',
  fileTask: '',
  otherTask: '',
}
const datasets = mkdtempSync(`${tmpdir()}/tintype-datasets-`)
/** `CreateInstance ImageUrl`, … */
const sent = new Set<string>()
let world: World
let call: ReturnType<typeof signedClient>

before(async () => {
  world = await openWorld('docker20', { TINTYPE_DATASET_PATHS: datasets, TINTYPE_RATE_LIMIT: '0' })
  call = signedClient(world.server.url, world.server.rootKey)
})
after(async () => {
  await world[Symbol.asyncDispose]()
  rmSync(datasets, { recursive: true })
})

interface Scene {
  readonly action: Action
  readonly name?: string
  readonly params?: () => Readonly<Record<string, string>>
  /** One request for each: what they leave out together is sent by none. Default: one, with all fields. */
  readonly requests?: () => readonly Chosen[]
  /** Afterwards, with the last answer. */
  readonly then?: (answer: Answer) => Promise<void> | void
}

const ofInstance = () => ({ InstanceId: made.instance })
const ofSnapshot = () => ({ InstanceId: made.instance, SnapshotId: made.snapshot })
const ofImage = () => ({ ImageId: made.image })
const SOON = () => new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, '')
const ofTempFile = () => ({ TempFileId: made.file })
const ofTempFileTask = () => ({ TempFileTaskId: made.fileTask })
const WINDOW = { StartTime: '2020-11-08T15:00:00Z', EndTime: '2099-11-08T15:00:00Z' }
const NO_DATASET_ID = { 'Datasets[].DatasetId': undefined, 'Datasets[].DatasetVersion': undefined }
const NONE_OF = (action: Action) =>
  Object.fromEntries(Object.keys(OPERATIONS[action].query.properties).map((name) => [name, undefined]))
const NO_BODY_OF = (action: 'CreateInstance') =>
  Object.fromEntries(Object.keys(OPERATIONS[action].body.properties).map((name) => [name, undefined]))
const EVERY_INSTANCE = { ...NONE_OF('ListInstances'), WorkspaceId: 'ALL', ResourceId: 'ALL' }
const CREATED = { CreateTimeAfter: '2020-11-08T15:00:00Z', CreateTimeBefore: '2099-11-08T15:00:00Z' }
const EVERY_IMAGE = NONE_OF('ListImages')
const RESOURCES = { CPU: '1', Memory: '1', SharedMemory: '1', GPU: '0', GPUType: '' }

const SCENES: readonly Scene[] = [
  {
    action: 'ListEcsSpecs',
    requests: () => [{ SortBy: 'gmtCreate' }],
    then: ({ json }) =>
      void (made.ecsSpec = String((json['EcsSpecs'] as Record<string, unknown>[])[0]!['InstanceType'])),
  },
  {
    action: 'CreateInstance',
    requests: () => {
      const common = {
        ...NO_DATASET_ID,
        ImageAuth: btoa('user:password'),
        'Datasets[].Uri': `file://${datasets}`,
        WorkspaceId: undefined,
      }
      const ofUrl = { ...common, ImageId: undefined, ImageUrl: world.imageUrl, WorkspaceId: '40823' }
      return [
        { ...ofUrl, EcsSpec: undefined, RequestedResource: RESOURCES, 'Datasets[].Options': undefined },
        {
          ...ofUrl,
          InstanceName: 'other',
          EcsSpec: made.ecsSpec,
          RequestedResource: undefined,
          'Datasets[].OptionType': undefined,
        },
      ]
    },
    then: async ({ json }) => {
      made.other = String(json['InstanceId'])
      const query = 'InstanceName=training_data&ResourceId=ALL&WorkspaceId=ALL'
      const list = await call('GET /api/v2/instances', { query })
      made.instance = String((list.json['Instances'] as Record<string, unknown>[])[0]!['InstanceId'])
      await reach(`/api/v2/instances/${made.instance}`, 'Running')
    },
  },
  { action: 'CreateIdleInstanceCuller', params: ofInstance },
  { action: 'GetIdleInstanceCuller', params: ofInstance },
  {
    action: 'CreateInstanceShutdownTimer',
    params: ofInstance,
    requests: () => [{ DueTime: SOON(), RemainingTimeInMs: undefined }, { DueTime: undefined }],
  },
  { action: 'GetInstanceShutdownTimer', params: ofInstance },
  {
    action: 'QueryAutoShutdownPolicies',
    requests: () => [{ 'InstanceIds[]': made.instance, InstanceId: made.instance }],
  },
  { action: 'UpdateInstanceLabels', params: ofInstance },
  {
    action: 'CreateInstanceSnapshot',
    params: ofInstance,
    requests: () => [{ SnapshotName: 'v1', ImageUrl: `${world.registry.host}/team/saved`, 'ExcludePaths[]': '/tmp' }],
    then: async ({ json }) => {
      made.snapshot = String(json['SnapshotId'])
      const saved = await reach(`/api/v2/instances/${made.instance}/snapshots/${made.snapshot}`, 'Saved')
      made.savedImage = String(saved['ImageId'])
    },
  },
  {
    action: 'CreateInstance',
    name: 'from a saved image',
    requests: () => [
      { ...NO_BODY_OF('CreateInstance'), InstanceName: 'fork', ImageId: made.savedImage, EcsSpec: made.ecsSpec },
    ],
  },
  { action: 'GetInstanceSnapshot', params: ofSnapshot },
  { action: 'ListInstanceSnapshot', params: ofInstance, requests: () => [{ SortBy: 'gmtCreate' }] },
  {
    action: 'GetToken',
    requests: () => [{ InstanceId: made.instance, Type: 'View' }],
    then: ({ json }) => void (made.token = String(json['Token'])),
  },
  { action: 'GetInstance', params: ofInstance, requests: () => [{ Token: undefined }, { Token: made.token }] },
  { action: 'ListInstances', requests: () => [CREATED, EVERY_INSTANCE] },
  { action: 'ListInstanceStatistics', requests: () => [{ WorkspaceIds: '40823' }] },
  { action: 'GetLifecycle', params: ofInstance, requests: () => [{ ...WINDOW, SessionNumber: 0, Token: made.token }] },
  { action: 'GetInstanceEvents', params: ofInstance, requests: () => [{ ...WINDOW, Offset: 0, Token: made.token }] },
  { action: 'GetInstanceMetrics', params: ofInstance, requests: () => [{ ...WINDOW, MetricType: 'CpuCoreUsage' }] },
  {
    action: 'GetMetrics',
    params: ofInstance,
    requests: () => [{ ...WINDOW, MetricName: 'CpuCoreUsage', NextToken: '1604847600000' }],
  },
  { action: 'GetUserConfig' },
  {
    action: 'GetUserCommand',
    params: () => ({ UserCommandId: made.instance }),
    requests: () => [{ InstanceId: made.instance, Token: made.token }],
  },
  { action: 'GetResourceGroupStatistics', requests: () => [WINDOW] },
  {
    action: 'CreateSanityCheckTask',
    params: () => ({ CheckType: 'SSH' }),
    requests: () => [{ InstanceId: made.instance }],
    then: ({ json }) => void (made.task = String(json['TaskId'])),
  },
  { action: 'GetSanityCheckTask', params: () => ({ CheckType: 'SSH', TaskId: made.task }) },
  { action: 'CreateDiagnosis', requests: () => [{ InstanceId: made.instance }] },
  {
    action: 'ListSystemLogs',
    requests: () => [{ InstanceId: made.instance }, { ...NONE_OF('ListSystemLogs'), InstanceId: made.instance }],
  },
  {
    action: 'CreateTempFileTask',
    requests: () => [{ InstanceId: made.instance }],
    then: async ({ json }) => {
      made.fileTask = String(json['TempFileTaskId'])
      const again = await call('POST /api/v2/tempfiletasks', { body: { InstanceId: made.instance } })
      made.otherTask = String(again.json['TempFileTaskId'])
    },
  },
  { action: 'GetTempFileTask', params: ofTempFileTask },
  { action: 'UpdateTempFileTask', params: ofTempFileTask, requests: () => [{ GmtExpiredTime: SOON() }] },
  {
    action: 'CreateTempFile',
    requests: () => [{ InstanceId: made.instance, TaskId: made.fileTask }],
    then: ({ json }) => void (made.file = String(json['TempFileId'])),
  },
  { action: 'GetTempFile', params: ofTempFile },
  {
    action: 'ListTempFiles',
    requests: () => [{ InstanceId: made.instance, SortBy: 'GmtModifiedTime' }, NONE_OF('ListTempFiles')],
  },
  { action: 'UpdateTempFile', params: ofTempFile, requests: () => [{ GmtExpiredTime: SOON(), Status: 'Created' }] },
  { action: 'DeleteTempFile', params: ofTempFile },
  { action: 'DeleteTempFileTask', params: ofTempFileTask },
  { action: 'DeleteTempFileTasks', requests: () => [{ 'TempFileTaskIds[]': made.otherTask }] },
  {
    action: 'AddImage',
    requests: () => [{ ImageId: 'image-0123456789abcdefgh' }],
    then: ({ json }) => void (made.image = String(json['ImageId'])),
  },
  { action: 'AddImageLabels', params: ofImage, requests: () => [{ 'Labels[].Key': 'my.label' }] },
  { action: 'GetImage', params: ofImage, requests: () => [{ Verbose: true }] },
  { action: 'ListImages', requests: () => [{ Labels: 'system.chipType=GPU' }, { ...EVERY_IMAGE, Verbose: true }] },
  { action: 'ListImageLabels', requests: () => [{}, { ...NONE_OF('ListImageLabels'), ImageId: made.image }] },
  { action: 'PublishImage', params: ofImage },
  { action: 'RemoveImageLabels', params: () => ({ ...ofImage(), LabelKey: 'my.label' }) },
  { action: 'RemoveImage', params: ofImage },
  { action: 'DeleteInstanceLabels', params: ofInstance },
  { action: 'DeleteInstanceShutdownTimer', params: ofInstance },
  { action: 'DeleteIdleInstanceCuller', params: ofInstance },
  {
    action: 'StopInstance',
    params: ofInstance,
    then: async () => void (await reach(`/api/v2/instances/${made.instance}`, 'Stopped')),
  },
  {
    action: 'UpdateInstance',
    params: ofInstance,
    requests: () => {
      const common = {
        ...NO_DATASET_ID,
        ImageAuth: btoa('user:other'),
        'Datasets[].Uri': `file://${datasets}`,
      }
      const first = {
        ...common,
        InstanceName: 'renamed',
        ImageId: made.savedImage,
        ImageUrl: undefined,
        Accessibility: 'PUBLIC',
        Priority: 2,
        EcsSpec: undefined,
        RequestedResource: { ...RESOURCES, Memory: '2' },
        'Datasets[].Options': undefined,
      }
      const second = {
        ...common,
        InstanceName: 'again',
        ImageId: undefined,
        ImageUrl: world.imageUrl,
        Accessibility: 'PRIVATE',
        Priority: 3,
        EcsSpec: made.ecsSpec,
        RequestedResource: undefined,
        'Datasets[].OptionType': undefined,
      }
      return [first, second]
    },
  },
  {
    action: 'StartInstance',
    params: ofInstance,
    then: async () => void (await reach(`/api/v2/instances/${made.instance}`, 'Running')),
  },
  { action: 'DeleteInstanceSnapshot', params: ofSnapshot },
  { action: 'StopInstances', requests: () => [{ 'InstanceIds[]': made.instance }] },
  { action: 'DeleteInstances', requests: () => [{ 'InstanceIds[]': made.other }] },
  { action: 'DeleteInstance', params: ofInstance },
]

const isTaken = ({ entry }: FieldCoverage<Remark>) => entry?.says.coverage !== 'refused'

for (const scene of SCENES) {
  const { action, name = 'a request with every declared field; the answer as declared' } = scene
  test(`${action}: ${name}`, async () => {
    const record: Shown = { problems: [], paths: new Set() }
    let last: Answer | undefined
    for (const chosen of scene.requests?.() ?? [{}]) {
      last = await sendFull(scene, chosen)
      assert.equal(last.status, 200, last.text)
      compareAnswer(action, last.json, record)
    }
    if (last) await scene.then?.(last)
    assert.deepEqual(record.problems, [])
    checkShown(action, record.paths)
  })

  const refused = scene.name ? [] : requestCoverage(OPERATIONS[action]).filter((field) => !isTaken(field))
  for (const { path } of refused)
    test(`${action}: ${path} is refused by its name`, async () => {
      const choice = { ...scene.requests?.()[0], InstanceName: 'refused', 'Datasets[].Uri': undefined }
      const answer = await sendFull(scene, { ...choice, 'Datasets[].DatasetId': 'd-1', [path]: 'd-1' })
      const { Code, Message, Success, HttpStatusCode } = answer.json
      assert.deepEqual([answer.status, Code, Success, HttpStatusCode], [400, 'ValidationError', false, 400])
      assert.match(String(Message), /Datasets\[0\]\.DatasetId/)
    })
}

async function sendFull(scene: Scene, chosen: Chosen): Promise<Answer> {
  const { action } = scene
  const { method, path, version } = OPERATIONS[action]
  const { query, body } = fullRequest(action, chosen)
  const paths = requestCoverage(OPERATIONS[action]).map((field) => field.path)
  for (const one of paths) if (hasPath(query, one) || hasPath(body, one)) sent.add(`${action} ${one}`)
  const params = scene.params?.() ?? {}
  const at = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
  return await call(`${method} ${at}`, { action, version, query: encodeQuery(query), ...(body && { body }) })
}

/** Every field that the coverage does not call absent was there; none that it calls absent was. */
function checkShown(action: Action, paths: ReadonlySet<string>): void {
  const fields = answerCoverage(OPERATIONS[action])
  const isLate = (path: string) => SHOWN_LATER[action]?.includes(path) ?? false
  const missing = fields.flatMap(({ path, entry }) => (entry || paths.has(path) || isLate(path) ? [] : [path]))
  const tooMany = fields.filter(({ path, entry }) => entry && paths.has(path)).map(({ path }) => path)
  assert.deepEqual({ missing, tooMany }, { missing: NEVER_SHOWN[action] ?? [], tooMany: [] })
}

async function reach(path: string, status: string): Promise<Readonly<Record<string, unknown>>> {
  const deadline = performance.now() + LIMIT_MS
  for (;;) {
    const { json, text } = await call(`GET ${path}`)
    if (json['Status'] === status) return json
    assert.ok(json['Status'] !== 'Failed' && performance.now() < deadline, text)
    await sleep(100)
  }
}

test('every operation of the contract was called, and every field of a request sent', () => {
  const actions = DOCUMENTED.map(({ operation }) => operation.action as Action)
  assert.deepEqual([...new Set(SCENES.map(({ action }) => action))].sort(), actions.sort())
  const taken = actions.flatMap((action) =>
    requestCoverage(OPERATIONS[action]).flatMap((field) => (isTaken(field) ? [`${action} ${field.path}`] : [])),
  )
  assert.deepEqual(
    taken.filter((one) => !sent.has(one)),
    [],
  )
})
