import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { ErrorCode } from '#base/errors.ts'
import { SNAPSHOT_VERBS } from '#cli/api-groups.ts'
import { helpFor } from '#cli/help.ts'
import { openScriptedApi, refuse, SCRIPTED_KEY } from '#lab/scripted-api.ts'
import type { ScriptedAnswer } from '#lab/scripted-api.ts'
import { API_COMMANDS, runApi } from './run.ts'
import type { ApiParts } from './run.ts'

const home = mkdtempSync(join(tmpdir(), 'tintype-run-'))
after(() => rmSync(home, { recursive: true }))

interface Change {
  readonly input?: string
  readonly signal?: AbortSignal
  readonly env?: Readonly<Record<string, string>>
}

/** `tintype LINE` against a server with these answers. */
async function run(
  line: string | readonly string[],
  answers: Readonly<Record<string, ScriptedAnswer>>,
  change: Change = {},
) {
  await using api = await openScriptedApi(answers)
  const seen = { out: '', err: '' }
  const parts: ApiParts = {
    terminal: {
      out: (text) => void (seen.out += text),
      err: (text) => void (seen.err += text),
      isInteractive: false,
      columns: () => 80,
    },
    clock: systemClock,
    env: {
      HOME: home,
      TINTYPE_ENDPOINT: api.endpoint,
      TINTYPE_ACCESS_KEY_ID: SCRIPTED_KEY.id,
      TINTYPE_ACCESS_KEY_SECRET: SCRIPTED_KEY.secret,
      ...change.env,
    },
    home,
    prompts: {
      canAsk: change.input === undefined,
      ask: async () => 'asked',
      readInput: async () => change.input ?? '',
    },
    readFile: async (path) => `the text of ${path}`,
  }
  const words = typeof line === 'string' ? line.split(' ') : line
  let failure: unknown
  try {
    await runApi(words, parts, change.signal ?? new AbortController().signal)
  } catch (error) {
    failure = error
  }
  return { ...seen, failure, requests: api.requests }
}

async function refused(code: ErrorCode, message: RegExp, ...args: Parameters<typeof run>) {
  const result = await run(...args)
  assert.ok(result.failure instanceof AppError, `${args[0]}: ${result.failure} ${result.out}`)
  assert.match(result.failure.message, message)
  assert.equal(result.failure.code, code)
  return result
}

test('every command and every option is in the help of its group; those of snapshot are the verbs that are known', () => {
  for (const { syntax } of API_COMMANDS) {
    const [group = '', ...verb] = syntax.command.split(' ')
    const help = helpFor(group, verb[0])
    assert.match(help, new RegExp(`\\n  ${verb.join(' ')}\\b`), syntax.command)
    for (const option of Object.keys(syntax.options))
      assert.ok(help.includes(`--${option}`), `${syntax.command} --${option}`)
  }
  const verbs = API_COMMANDS.flatMap(({ syntax }) => /^snapshot (\w+)$/.exec(syntax.command)?.[1] ?? [])
  assert.deepEqual(verbs, SNAPSHOT_VERBS)
})

const MISTAKES: readonly (readonly [string, RegExp])[] = [
  ['instance', /^tintype instance needs a verb: create, list,/],
  ['instance --json', /^tintype instance needs a verb/],
  ['instance lst', /^tintype instance does not know "lst": did you mean "tintype instance list"\?$/],
  ['user key', /^tintype user key needs a verb: create, list, delete, disable, enable\.$/],
  ['user key crate', /did you mean "tintype user key create"\?$/],
  ['instance get', /^tintype instance get needs INSTANCE: write "tintype instance get INSTANCE"\.$/],
  ['instance get a b', /does not know what to do with "b"/],
  ['instance list --stats x', /has no option "--stats": did you mean --status\?$/],
  ['instance create --cpu 1', /needs an image/],
  ['instance create --image-url a/b --env =x', /--env must be KEY=VALUE, or KEY of a variable that is set, not ""/],
  ['instance create --image-url a/b --env UNSET', /not "UNSET"\.$/],
  ['instance create --image-url a/b --label x', /--label must be KEY=VALUE, not "x"\.$/],
  ['instance create --image-url a/b --dataset /data', /--dataset must be SOURCE:PATH/],
  ['instance create --image-url a/b --dataset data:/mnt', /--dataset must be SOURCE:PATH/],
  ['instance create --image-url a/b --accessibility all', /--accessibility must be public or private, not "all"\.$/],
  ['instance create --image-url a/b --idle-minutes soon', /--idle-minutes must be a whole number from 0/],
  ['instance create --image-url a/b --password-stdin', /needs --image-username NAME with --password-stdin\.$/],
  ['instance create --image-url a/b --image-username a:b', /without a colon\.$/],
  ['instance update dsw-1', /needs something to change\.$/],
  ['instance metrics dsw-1 Heat', /knows no metric "Heat": it knows GpuCoreUsage/],
  ['snapshot create dsw-1 --image-url a/b', /needs --name NAME\.$/],
  ['snapshot create dsw-1 --name a', /needs --image-url REFERENCE\.$/],
  ['policy create p', /needs --document FILE/],
  ['policy attach p', /needs either --user USER or --role ROLE\.$/],
  ['policy attach p --user a --role b', /needs either --user USER or --role ROLE\.$/],
  ['registry add h --password-stdin', /needs --username NAME with --password-stdin\.$/],
  ['registry update h', /needs something to change/],
  ['schedule create dsw-1 --image-url a/b', /needs --cron/],
  ['schedule create dsw-1 --cron x', /needs --image-url/],
  ['schedule update s --enable --disable', /takes either --enable or --disable\.$/],
  ['schedule update s', /needs something to change\.$/],
  ['image get ..', /^"\.\." is no ImageId: copy it from the list\.$/],
]
for (const [line, pattern] of MISTAKES)
  test(`a mistake is one sentence, and nothing is sent: ${line}`, async () => {
    const { requests, out } = await refused('usage_invalid', pattern, line, {})
    assert.deepEqual([requests, out], [[], ''])
  })

const id = { InstanceId: 'dsw-1' }
const SENT: readonly (readonly [string | readonly string[], string, unknown?])[] = [
  ['instance start dsw-1', 'StartInstance PUT /api/v2/instances/dsw-1/start'],
  ['instance stop dsw-1 --save-image', 'StopInstance PUT /api/v2/instances/dsw-1/stop?SaveImage=true'],
  ['instance stop dsw-1', 'StopInstance PUT /api/v2/instances/dsw-1/stop'],
  ['instance get a%2Fb/c', 'GetInstance GET /api/v2/instances/a%252Fb%2Fc'],
  [
    [
      'instance',
      'create',
      '--image-url',
      'r/i:v',
      '--env',
      'A=b=c',
      '--env',
      'FROM_HERE',
      '--dataset',
      '/srv/a b:/mnt/data:ro',
      '--on-start',
      'pip list',
      '--gpu',
      '1',
    ],
    'CreateInstance POST /api/v2/instances',
    {
      RequestedResource: { GPU: '1' },
      ImageUrl: 'r/i:v',
      EnvironmentVariables: { A: 'b=c', FROM_HERE: 'hidden' },
      Datasets: [{ Uri: 'file:///srv/a%20b', MountPath: '/mnt/data', MountAccess: 'RO' }],
      UserCommand: { OnStart: { Content: 'pip list' } },
    },
  ],
  [
    'snapshot create dsw-1 --name v1 --image-url r/i --exclude /tmp --label a=b= --overwrite --description d',
    'CreateInstanceSnapshot POST /api/v2/instances/dsw-1/snapshots',
    {
      SnapshotName: 'v1',
      ImageUrl: 'r/i',
      SnapshotDescription: 'd',
      ExcludePaths: ['/tmp'],
      Labels: [{ Key: 'a', Value: 'b=' }],
      Overwrite: true,
    },
  ],
  [
    'snapshot delete dsw-1 snp-1 --delete-image',
    'DeleteInstanceSnapshot DELETE /api/v2/instances/dsw-1/snapshots/snp-1?DeleteImage=true',
  ],
  [
    'snapshot preview dsw-1 --exclude /a',
    'PreviewInstanceSnapshot GET /tintype/v1/instances/dsw-1/preview?ExcludePaths=%5B%22%2Fa%22%5D',
  ],
  [
    'image add r.example/team/base:v1 --label a=b',
    'AddImage POST /api/v1/images',
    { ImageUri: 'r.example/team/base:v1', Name: 'base', Labels: [{ Key: 'a', Value: 'b' }] },
  ],
  ['user key disable ann K', 'UpdateAccessKey POST /?UserName=ann&UserAccessKeyId=K&Status=Inactive'],
  ['policy create p --document f.json', 'CreatePolicy POST /?PolicyName=p&PolicyDocument=the%20text%20of%20f.json'],
  ['policy attach P --system --role r', 'AttachPolicyToRole POST /?PolicyName=P&PolicyType=System&RoleName=r'],
  ['policy detach P --user u', 'DetachPolicyFromUser POST /?PolicyName=P&PolicyType=Custom&UserName=u'],
  [
    'registry add h:5000 --username u --plain-http',
    'CreateRegistry POST /tintype/v1/registries',
    { Host: 'h:5000', PlainHttp: true, UserName: 'u', Password: 'asked' },
  ],
  ['registry remove h:5000', 'DeleteRegistry DELETE /tintype/v1/registries/h%3A5000'],
  [
    'schedule update s --disable --keep-last 2',
    'UpdateSchedule PUT /tintype/v1/schedules/s',
    { KeepLast: 2, Enabled: false },
  ],
]
for (const [line, expected, body] of SENT)
  test(`what is sent: ${String(line)}`, async () => {
    const [action = ''] = expected.split(' ')
    const { failure, requests } = await run(line, { [action]: id }, { env: { FROM_HERE: 'hidden' } })
    assert.equal(failure, undefined)
    const [request] = requests
    assert.deepEqual([`${request?.action} ${request?.line}`, request?.body], [expected, body])
  })

test('the password of a registry is piped in, less the newline at its end', async () => {
  const { requests } = await run(
    'registry update h --username u --password-stdin',
    { UpdateRegistry: {} },
    { input: 'p w\n' },
  )
  assert.deepEqual(requests[0]?.body, { UserName: 'u', Password: 'p w' })
  await refused(
    'usage_invalid',
    /pipe it in with --password-stdin\.$/,
    'registry update h --username u',
    {},
    { input: '' },
  )
})

test('a name is looked up, and has to be of one instance alone', async () => {
  const Instances = [
    { InstanceId: 'dsw-1', InstanceName: 'ann' },
    { InstanceId: 'dsw-2', InstanceName: 'annie' },
  ]
  const { requests } = await run('instance start ann', { ListInstances: { Instances }, StartInstance: id })
  assert.deepEqual(
    requests.map(({ line }) => line),
    [
      'GET /api/v2/instances?ResourceId=ALL&InstanceName=ann&PageNumber=1&PageSize=100',
      'PUT /api/v2/instances/dsw-1/start',
    ],
  )
  await refused('instance_not_found', /no instance named "bob"/, 'instance start bob', { ListInstances: { Instances } })
  const twice = [...Instances, { InstanceId: 'dsw-3', InstanceName: 'ann' }]
  await refused('usage_invalid', /several instances are named "ann": dsw-1, dsw-3\.$/, 'instance start ann', {
    ListInstances: { Instances: twice },
  })
})

test('lists go on page after page, are aligned, and send nothing to the terminal that it would act upon', async () => {
  const row = (n: number) => ({ InstanceId: `dsw-${n}`, InstanceName: 'a\x1b[2J', Status: 'Running' as const })
  const pages: ScriptedAnswer = (response, { line }) => {
    const isFirst = line.includes('PageNumber=1')
    response.end(JSON.stringify({ Instances: Array.from({ length: isFirst ? 100 : 1 }, (_, i) => row(i)) }))
  }
  const { out } = await run('instance list', { ListInstances: pages })
  assert.equal(out.split('\n')[0], 'ID      NAME      STATUS   IMAGE  OWNER  CREATED')
  assert.match(out, /\ndsw-99 {2}a\\x1b\[2J {2}Running\n/)
  assert.equal(out.split('\n').length, 103)
  const json = await run('instance list --json --status stopped', { ListInstances: pages })
  assert.deepEqual(JSON.parse(json.out), { Instances: [], TotalCount: 0 })
})

test('lists with a marker go on until there is none', async () => {
  const { out } = await run('user list', {
    ListUsers: (response, { line }) => {
      const isFirst = !line.includes('Marker=')
      const User = [{ UserName: isFirst ? 'ann' : 'bob' }]
      response.end(JSON.stringify({ Users: { User }, IsTruncated: isFirst, Marker: isFirst ? 'm' : '' }))
    },
  })
  assert.match(out, /\nann\nbob\n$/)
})

const SAVED = {
  InstanceId: 'dsw-1',
  SnapshotId: 'snp-1',
  Status: 'Saved',
  ImageUrl: 'r/i:v',
  Result: {
    Digest: 'sha256:d',
    Mode: 'full',
    FrozenMs: 3.5,
    Squashed: { Layers: 33, Reason: 'many' },
    Torn: [{ PathBase64: '/w==' }],
  },
}
const CREATE = 'snapshot create dsw-1 --name v --image-url r/i:v --wait'

test('--wait follows the events to the end, over a stream that breaks off', async () => {
  let streams = 0
  const { out, failure } = await run(CREATE, {
    CreateInstanceSnapshot: SAVED,
    WatchSnapshot: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`:\n\nevent: progress\ndata: {"Status":"Pushing","Progress":{"Phase":"uploading"}}\n\n`)
      if (++streams === 1) response.destroy()
      else response.end()
    },
    GetSnapshotDetails: SAVED,
  })
  assert.equal(failure, undefined)
  assert.equal(streams, 2)
  assert.match(
    out,
    /^Saved r\/i:v\n {2}digest +sha256:d\n[^]*squashed +33 layers [^]*: many\n[^]*may be torn:\n {2}\\xff\n$/,
  )
})

test('--wait waits for a server whose database is away: in its answers, and in the events of a stream', async () => {
  let [streams, looks] = [0, 0]
  const { failure } = await run(CREATE, {
    CreateInstanceSnapshot: SAVED,
    WatchSnapshot: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const away = { Code: 'ServiceUnavailable', Message: 'Away.', Error: 'store_unavailable' }
      response.end(++streams === 1 ? `event: error\ndata: ${JSON.stringify(away)}\n\n` : '')
    },
    GetSnapshotDetails: (response) => {
      if (++looks > 1) return void response.end(JSON.stringify(SAVED))
      response.writeHead(503, { 'x-tintype-error': 'store_unavailable' })
      response.end('{"Code":"ServiceUnavailable","Message":"Away."}')
    },
  })
  assert.equal(failure, undefined)
  assert.deepEqual([streams, looks], [3, 2])
})

test('the newest events are shown, the last one last, and how many there were before', async () => {
  let asked = ''
  const { out, err } = await run('instance events dsw-1', {
    GetInstanceEvents: (response, request) => {
      asked = request.line
      response.end(JSON.stringify({ Events: ['third', 'second'], TotalCount: 3 }))
    },
  })
  assert.match(asked, /Reverse=true/)
  assert.deepEqual([out, err], ['second\nthird\n', 'There were 1 before.\n'])
})

for (const [ReasonCode, code] of [
  ['TagExists', 'tag_exists'],
  ['RegistryDenied', 'registry_denied'],
  ['SpoolFull', 'spool_full'],
  ['Whatever', 'internal'],
] as const)
  test(`--wait ends with what the snapshot failed with: ${ReasonCode}`, async () => {
    await refused(code, /^Snapshot snp-1 failed: Because\.$/, CREATE, {
      CreateInstanceSnapshot: SAVED,
      WatchSnapshot: (response) => void response.end(),
      GetSnapshotDetails: { ...SAVED, Status: 'Failed', ReasonCode, ReasonMessage: 'Because.' },
    })
  })

const BACK: readonly (readonly [line: string, statuses: readonly object[], code: ErrorCode, message: RegExp])[] = [
  [
    'instance stop dsw-1 --save-image --wait',
    [
      { Status: 'Running' },
      { Status: 'Saving' },
      {
        Status: 'Running',
        LatestSnapshot: { Status: 'Failed', ReasonCode: 'RegistryDenied', ReasonMessage: 'No.' },
      },
    ],
    'registry_denied',
    /^Instance dsw-1 failed: No\.$/,
  ],
  [
    'instance start dsw-1 --wait',
    [
      { Status: 'Stopped' },
      { Status: 'Starting' },
      { Status: 'Stopped', ReasonCode: 'ContainerExited', ReasonMessage: 'It ended with 0.' },
    ],
    'container_gone',
    /^Instance dsw-1 failed: It ended with 0\.$/,
  ],
]
for (const [line, statuses, code, message] of BACK)
  test(`a wait ends where the instance is back where it was: ${line}`, async () => {
    const left = [...statuses]
    const GetInstance: ScriptedAnswer = (response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...id, ...left.shift() }))
    await refused(code, message, line, { StopInstance: id, StartInstance: id, GetInstance })
    assert.deepEqual(left, [])
  })

test('a wait that is cancelled says that the work goes on, and how to end it', async () => {
  const controller = new AbortController()
  const stopped = new AppError('cancelled', 'Cancelled by SIGINT.')
  const { failure, err } = await run(
    CREATE,
    {
      CreateInstanceSnapshot: SAVED,
      WatchSnapshot: (response) => {
        response.writeHead(200).write(':\n\n')
        controller.abort(stopped)
      },
    },
    { signal: controller.signal },
  )
  assert.equal(failure, stopped)
  assert.equal(
    err,
    'The snapshot snp-1 goes on. To see it: "tintype snapshot watch dsw-1 snp-1"; to end it: "tintype snapshot cancel dsw-1 snp-1".\n',
  )
})

test('--wait for an instance says each status once, and ends with what it failed with', async () => {
  const seen = ['Creating', 'EnvPreparing', 'Failed']
  const { err } = await refused(
    'insufficient_resource',
    /^Instance dsw-1 failed: No GPU\.$/,
    'instance create --image i --wait',
    {
      CreateInstance: id,
      GetInstance: (response) => {
        const Status = seen.shift()
        response.end(JSON.stringify({ Status, ReasonCode: 'Resource.InsufficientResource', ReasonMessage: 'No GPU.' }))
      },
    },
  )
  assert.equal(err, 'dsw-1: Creating\ndsw-1: EnvPreparing\ndsw-1: Failed\n')
})

const REFUSALS: readonly (readonly [string, ScriptedAnswer, ErrorCode, RegExp])[] = [
  [
    "the server's own code",
    (r) => refuse(r, 400, { Code: 'ValidationError', Message: 'It exists.' }, 'tag_exists'),
    'tag_exists',
    /^It exists\.$/,
  ],
  [
    'a code that is of no error',
    (r) => refuse(r, 400, { Message: 'Bad.' }, 'constructor'),
    'request_invalid',
    /^Bad\.$/,
  ],
  ['403 of another server', (r) => refuse(r, 403, { Code: 'NoPermission', Message: 'No.' }), 'not_permitted', /^No\.$/],
  ['404', (r) => refuse(r, 404, { Message: 'None.' }), 'operation_not_found', /^None\.$/],
  ['409', (r) => refuse(r, 409, { Message: 'Taken.' }), 'name_taken', /^Taken\.$/],
  ['429', (r) => refuse(r, 429, { Message: 'Slow.' }), 'rate_exceeded', /^Slow\.$/],
  ['500', (r) => refuse(r, 500, { Message: 'Oh.' }), 'internal', /^Oh\.$/],
  [
    '502 of a proxy',
    (r) => void r.writeHead(502).end('<html>'),
    'server_unavailable',
    /^The server answered 502 and no error of its API/,
  ],
  [
    'a redirect',
    (r) => void r.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    'answer_invalid',
    /answered 302/,
  ],
  ['what is no JSON', (r) => void r.end('<html>'), 'answer_invalid', /answer is no JSON/],
  ['another answer', { InstanceId: 7 }, 'answer_invalid', /answer is not one of GetInstance/],
  ['no answer', (r) => void r.destroy(), 'server_unavailable', /^The server 127\.0\.0\.1:\d+ cannot be reached/],
]
for (const [reason, answer, code, message] of REFUSALS)
  test(`a refusal keeps its kind: ${reason}`, () =>
    refused(code, message, 'instance get dsw-1', { GetInstance: answer }).then(() => {}))

test('nobody at the endpoint is a sentence with the host', async () => {
  const gone = await openScriptedApi({})
  await gone[Symbol.asyncDispose]()
  const host = gone.endpoint.slice('http://'.length)
  const { failure } = await run(`instance get dsw-1 --endpoint ${gone.endpoint}`, {})
  assert.equal(
    String(failure),
    `AppError: The server ${host} cannot be reached (ECONNREFUSED): check that it runs, and --endpoint.`,
  )
})
