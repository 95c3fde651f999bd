import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { labEngine } from '#lab/engine.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry } from '#lab/registry.ts'
import type { Registry } from '#lab/registry.ts'

/** The command line against a real server, which has a real engine and a registry that wants a password. */
const root = mkdtempSync(join(tmpdir(), 'tintype-api-'))
const home = join(root, 'server')
/** The bundle itself: `bin/tintype` would look each time whether it is stale. */
const PROGRAM = 'dist/tintype.mjs'
let engine: Engine
let registry: Registry
let image: string
let url: string
let stopServer: () => Promise<void>

before(async () => {
  engine = await labEngine('docker20')
  registry = await startRegistry({ users: { robot: 'right' } })
  image = await busyboxImage(engine)
  const env = {
    PATH: process.env['PATH'],
    TINTYPE_HOME: home,
    TINTYPE_LISTEN: '127.0.0.1:0',
    TINTYPE_METRICS_LISTEN: '127.0.0.1:0',
    DOCKER_HOST: `unix://${engine.socketPath}`,
  }
  const server = spawn(process.execPath, [PROGRAM, 'serve'], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  const exited = once(server, 'exit')
  let out = ''
  for await (const part of server.stdout.setEncoding('utf8')) if ((out += part).includes('Ctrl-C')) break
  url = /serves (\S+)/.exec(out)![1]!
  stopServer = async () => {
    server.kill('SIGTERM')
    await exited
  }
})
after(async () => {
  await stopServer()
  await registry.stop()
  await engine.stop()
  rmSync(root, { recursive: true })
})

interface Run {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
}

/** `tintype LINE`, as root on the server's own host unless the environment says otherwise. */
async function run(args: readonly string[], { input = '', env = {} }: Run = {}) {
  const base = { PATH: process.env['PATH'], HOME: root, TINTYPE_HOME: home, TINTYPE_ENDPOINT: url }
  const child = spawn(process.execPath, [PROGRAM, ...args], { env: { ...base, ...env } })
  child.stdin.end(input)
  const seen = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (seen.out += chunk))
  child.stderr.on('data', (chunk) => (seen.err += chunk))
  const [code] = await once(child, 'close')
  return { ...seen, code: code as number }
}

/** The same for a line without blanks in its words, which has to succeed. */
async function ok(line: string, options?: Run): Promise<string> {
  const result = await run(line.split(' '), options)
  assert.equal(result.code, 0, `${line}: ${result.err}${result.out}`)
  return result.out
}
const json = async (line: string) => JSON.parse(await ok(`${line} --json`))

async function fails(line: string, code: number, pattern: RegExp, options?: Run) {
  const result = await run(line.split(' '), options)
  assert.match(result.err, pattern, line)
  assert.deepEqual([result.code, result.out], [code, ''], line)
}

test('an instance is made, changed, saved, and its image runs again', async () => {
  assert.equal(await ok('instance list'), 'ID  NAME  STATUS  IMAGE  OWNER  CREATED\n')
  const made = await run(
    `instance create --image-url ${image} --name ann_dev --memory 64Mi --label team=vision --env MODE=test --idle-minutes 600 --wait`.split(
      ' ',
    ),
  )
  assert.equal(made.code, 0, made.err)
  const id = made.out.trim()
  assert.match(made.err, new RegExp(`^Made ${id}\\.\\n[^]*${id}: Running\\n$`))

  await engine.docker(['exec', `tintype-${id}`, 'sh', '-c', 'echo kept > /note; echo lost > /tmp/x'])
  assert.match(await ok('instance list --status running'), new RegExp(`\n${id} +ann_dev +Running +${image} `))
  assert.match(await ok('instance get ann_dev'), /\nLabels +[^\n]*team=vision/)
  assert.match(await ok('snapshot preview ann_dev --exclude /tmp'), /A snapshot of \S+ would take[^]*note/)

  await ok(`registry add ${registry.host} --username robot --password-stdin`, { input: 'right\n' })
  assert.match(await ok('registry list'), new RegExp(`\n${registry.host} +yes +no `))
  assert.match(await ok(`registry test ${registry.host}`), /takes the login/)
  const target = `${registry.host}/ann/dev:friday`
  const line = `snapshot create ann_dev --name friday --image-url ${target} --exclude /tmp --label by=ann`
  const saved = await run([...line.split(' '), '--wait'])
  assert.equal(saved.code, 0, saved.err)
  assert.match(saved.out, new RegExp(`^Saved ${target}\n  digest +sha256:`))
  await fails(`${line} --wait`, 4, /^tintype: [^\n]*exists[^\n]*\n$/)
  const { Snapshots } = await json('snapshot list ann_dev')
  const first = Snapshots.find((each: { Status: string }) => each.Status === 'Saved')
  assert.equal(first.ImageUrl, target)
  assert.match(await ok(`snapshot get ann_dev ${first.SnapshotId}`), /Status +Saved\n[^]*Saved /)
  assert.match(await ok(`snapshot watch ${id} ${first.SnapshotId}`), /^Saved /)
  await fails(`snapshot cancel ann_dev ${first.SnapshotId}`, 4, /^tintype: [^\n]+\n$/)

  const { Images } = await json('image list --name friday')
  assert.equal(Images[0].ImageUri, target)
  assert.match(await ok(`image get ${Images[0].ImageId}`), /Labels +[^\n]*by=ann/)
  assert.equal(await ok(`image publish ${Images[0].ImageId}`), `${Images[0].ImageId}\n`)
  const restore = `instance create --image ${Images[0].ImageId} --image-username robot --password-stdin --name copy --wait`
  const copy = (await ok(restore, { input: 'right\n' })).trim()
  assert.equal(await engine.docker(['exec', `tintype-${copy}`, 'cat', '/note']), 'kept')
  await ok('instance delete copy')

  await ok('instance update ann_dev --label team=speech --idle-minutes 0')
  assert.match(await ok('instance get ann_dev'), /team=speech/)
  assert.match(await ok('instance events ann_dev'), /\S+\n/)
  assert.match(await ok('instance metrics ann_dev'), /^METRIC +LATEST +HIGHEST\nGpuCoreUsage/)
  assert.match(await ok('instance metrics ann_dev cpucoreusage'), /^TIME +VALUE\n/)
  await ok('instance logs ann_dev')
  assert.match(await ok('instance token ann_dev'), /^\S{16,}\n$/)

  await fails(`snapshot delete ann_dev ${first.SnapshotId} --delete-image`, 4, /^tintype: [^\n]*adds to[^\n]*\n$/)
  await ok('instance stop ann_dev --wait')
  await ok('instance update ann_dev --cpu 1')
  const { RequestedResource } = await json('instance get ann_dev')
  assert.deepEqual(RequestedResource, { CPU: '1', Memory: '64Mi' }, 'what is not given stays')
  await ok(`instance delete ${id}`)
  await ok(`snapshot delete ${id} ${first.SnapshotId} --delete-image`)
  await fails(`image get ${Images[0].ImageId}`, 3, /^tintype: /)
  const added = (await ok(`image add ${image} --name base --accessibility private`)).trim()
  assert.equal(await ok(`image remove ${added}`), `${added}\n`)
})

test('users get keys and rights; a key is kept as a profile, and what it may not do ends with 5', async () => {
  await ok('user create bea --comments night')
  assert.match(await ok('user list'), /\nbea +\d+ +(?:bea )?[^\n]*night/)
  const { AccessKey } = await json('user key create bea')
  const configured = await ok(
    `configure --profile bea --endpoint ${url} --access-key-id ${AccessKey.AccessKeyId} --secret-stdin`,
    { input: `${AccessKey.AccessKeySecret}\n` },
  )
  const path = join(root, '.tintype/config.json')
  assert.equal(configured, `The profile bea is kept in ${path}.\n`)
  assert.equal(statSync(path).mode & 0o777, 0o600)

  await fails('instance create --image-url x/y --profile bea', 5, /^tintype: [^\n]*CreateInstance[^\n]*\n$/)
  const document = join(root, 'policy.json')
  writeFileSync(document, '{"Version":"1","Statement":[{"Effect":"Allow","Action":"paidsw:List*","Resource":"*"}]}')
  await ok(`policy create lists --document ${document}`)
  await ok('policy attach lists --user bea')
  assert.match(await ok('policy list'), /\nlists +Custom +1/)
  assert.match(await ok('policy get lists'), /"paidsw:List\*"/)
  assert.match(await ok('instance list --profile bea'), /^ID /)
  await fails('policy delete lists', 4, /^tintype: [^\n]*lists[^\n]*\n$/)
  await ok('policy detach lists --user bea')
  await ok('policy delete lists')
  await ok('policy attach AdministratorAccess --system --user bea')
  assert.match(await ok('user list --profile bea'), /\nbea /)
  await ok('policy detach AdministratorAccess --system --user bea')

  await ok(`user key disable bea ${AccessKey.AccessKeyId}`)
  await fails('instance list', 5, /^tintype: /, { env: { TINTYPE_PROFILE: 'bea' } })
  await ok(`user key enable bea ${AccessKey.AccessKeyId}`)
  assert.match(await ok('user key list bea'), new RegExp(`\n${AccessKey.AccessKeyId} +Active`))
  await fails('user delete bea', 4, /^tintype: /)
  await ok(`user key delete bea ${AccessKey.AccessKeyId}`)
  await ok('user delete bea')
  assert.ok(!readFileSync(join(home, 'tintype.db')).includes(AccessKey.AccessKeySecret))
})

test('schedules are made, changed, listed and deleted', async () => {
  const id = (await ok(`instance create --image-url ${image} --name nightly --wait`)).trim()
  const cron = ['--cron', '0 3 * * *', '--image-url', `${registry.host}/nightly`]
  const made = await run(['schedule', 'create', 'nightly', ...cron, '--keep-last', '3', '--time-zone', 'Europe/Berlin'])
  assert.equal(made.code, 0, made.err)
  const schedule = made.out.trim()
  assert.match(
    await ok('schedule list nightly'),
    new RegExp(`\n${schedule} +${id} +0 3 \\* \\* \\* +Europe/Berlin .*last 3 `),
  )
  await ok(`schedule update ${schedule} --keep-days 7 --disable`)
  assert.match(await ok('schedule list'), /last 3, 7 days +disabled\n/)
  const wrong = await run(['schedule', 'update', schedule, '--cron', 'often'])
  assert.match(wrong.err, /^tintype: Cron must be [^\n]*\n$/)
  assert.equal(wrong.code, 2)
  await ok(`schedule delete ${schedule}`)
  await fails(`schedule delete ${schedule}`, 3, /^tintype: /)
  await ok('instance delete nightly')
})

test('what is not there ends with 3, and with --json as one object', async () => {
  await fails('instance get dsw-none', 3, /^tintype: [^\n]*dsw-none[^\n]*\n$/)
  await fails(
    'instance get nobody',
    3,
    /^tintype: There is no instance named "nobody" in the default workspace: see "tintype instance list --workspace ALL", and give its id\.\n$/,
  )
  await fails('image get image-nothing', 3, /^tintype: /)
  await fails('user key list nobody', 3, /^tintype: /)
  const { out, code } = await run(['snapshot', 'list', 'dsw-none', '--json'])
  assert.equal(code, 3)
  assert.equal(JSON.parse(out).error.details.status, 404)
})
