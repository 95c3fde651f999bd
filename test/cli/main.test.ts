import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { CONFIG_KEYS } from '#config/config.ts'
import { helpFor } from '#cli/help.ts'

const root = mkdtempSync(join(tmpdir(), 'tintype-main-'))
after(() => rmSync(root, { recursive: true }))
const BASE = {
  PATH: process.env.PATH,
  HOME: root,
  TINTYPE_HOME: join(root, 'home'),
  DOCKER_HOST: `unix://${root}/none.sock`,
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/main.ts', ...args], {
    env: { ...BASE, ...env },
  })
  child.stdin.end()
  const seen = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (seen.out += chunk))
  child.stderr.on('data', (chunk) => (seen.err += chunk))
  const ended = once(child, 'close').then(([code, signal]) => ({ ...seen, code, signal }))
  return { child, ended }
}
const run = (args: readonly string[], env?: NodeJS.ProcessEnv) => start(args, env).ended

test('the version and the help go to stdout', async () => {
  const version: unknown = JSON.parse(readFileSync('package.json', 'utf8')).version
  assert.deepEqual(await run(['--version']), { out: `tintype ${version}\n`, err: '', code: 0, signal: null })
  for (const args of [['--help'], ['-h'], ['help']])
    assert.equal((await run(args)).out, helpFor(undefined), args.join())
  for (const args of [
    ['snapshot', '--help'],
    ['help', 'snapshot'],
    ['snapshot', 'box', '-h'],
  ])
    assert.equal((await run(args)).out, helpFor('snapshot'), args.join(' '))
})

test('nobody has to read what goes to stderr', async () => {
  const { child, ended } = start(['snapshot', 'box', 'localhost:1/a:b'])
  child.stderr.destroy()
  assert.deepEqual(await ended, { out: '', err: '', code: 5, signal: null })
})

const FAILURES: readonly (readonly [string, readonly string[], NodeJS.ProcessEnv, number, RegExp])[] = [
  [
    'an engine on another host, for what needs an engine',
    ['snapshot', 'box', 'localhost:1/a:b'],
    { DOCKER_HOST: 'ssh://elsewhere' },
    2,
    /DOCKER_HOST/,
  ],
  [
    'an engine on another host, for what needs none',
    ['squash', 'localhost:1/a:b', 'localhost:1/a:c'],
    { DOCKER_HOST: 'ssh://elsewhere' },
    6,
    /localhost:1 cannot be reached/,
  ],
  ['no command', [], {}, 2, /^Tintype saves[^]*\ntintype: Name a command/],
  [
    'a mistyped command',
    ['snapshto'],
    {},
    2,
    /^tintype: There is no command "snapshto": did you mean "tintype snapshot"\?\n$/,
  ],
  [
    'an unknown command',
    ['frobnicate\x1b[2J'],
    {},
    2,
    /^tintype: There is no command "frobnicate\\u001b\[2J": see "tintype help"\.\n$/,
  ],
  [
    'a mistyped option',
    ['preview', 'box', '--jsn'],
    {},
    2,
    /^tintype: tintype preview has no option "--jsn": did you mean --json\?\n$/,
  ],
  [
    'a setting that is wrong',
    ['preview', 'box'],
    { TINTYPE_WORKERS: 'many' },
    2,
    /^tintype: TINTYPE_WORKERS must be a whole number from 1 to 64, not "many"\.\n$/,
  ],
  [
    'a remote engine',
    ['preview', 'box'],
    { DOCKER_HOST: 'tcp://1.2.3.4:2375' },
    2,
    /^tintype: DOCKER_HOST must be unix:\/\/ .*\n$/,
  ],
  ['no engine', ['preview', 'box'], {}, 5, /^tintype: [^\n]*\n$/],
  ['no terminal for a password', ['login', 'reg.example'], {}, 2, /--password-stdin\.\n$/],
]
for (const [reason, args, env, code, pattern] of FAILURES) {
  test(`${reason} is one sentence on stderr, and exit code ${code}`, async () => {
    const result = await run(args, env)
    assert.match(result.err, pattern)
    assert.deepEqual([result.code, result.out], [code, ''])
  })
}

test('with --json a failure is one object on stdout, and after "--" that is no option', async () => {
  const result = await run(['snapshot', 'box', '--json'])
  assert.equal(JSON.parse(result.out).error.code, 'usage_invalid')
  assert.deepEqual([result.code, result.err], [2, ''])
  assert.equal((await run(['preview', '--', 'box', '--json'])).out, '')
})

test('doctor --json is one object whatever the host has', async () => {
  const { out, code } = await run(['doctor', '--json'])
  assert.equal(JSON.parse(out).ok, false, 'there is no engine')
  assert.equal(code, 5)
})

/** An engine that takes connections and never answers. */
async function openSilentEngine() {
  const path = join(root, 'silent.sock')
  const server = createServer()
  server.listen(path)
  await once(server, 'listening')
  return { server, env: { DOCKER_HOST: `unix://${path}` }, [Symbol.asyncDispose]: async () => void server.close() }
}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${name} cancels a snapshot: exit code 130, and the sentence says why`, async () => {
    await using engine = await openSilentEngine()
    const { child, ended } = start(['snapshot', 'box', `oci:${root}/images:v1`, '--quiet'], engine.env)
    const [socket] = await once(engine.server, 'connection')
    child.kill(name)
    const result = await ended
    socket.destroy()
    assert.deepEqual([result.code, result.err], [130, `tintype: Cancelled by ${name}.\n`])
  })
}

test('under nohup a hangup cancels nothing', async () => {
  await using engine = await openSilentEngine()
  const command = `exec nohup bin/tintype snapshot box oci:${root}/images:v1 --quiet`
  const child = spawn('sh', ['-c', command], { env: { ...BASE, ...engine.env }, stdio: ['ignore', 'ignore', 'pipe'] })
  let err = ''
  child.stderr.on('data', (chunk) => (err += chunk))
  const [socket] = await once(engine.server, 'connection')
  child.kill('SIGHUP')
  child.kill('SIGTERM') // the kernel hands out the lower number first
  const [code] = await once(child, 'close')
  socket.destroy()
  assert.deepEqual([code, err.trim().split('\n').at(-1)], [130, 'tintype: Cancelled by SIGTERM.'])
})

test('docs/cli.md has every variable of the configuration, and every line of the usage', () => {
  const page = readFileSync('docs/cli.md', 'utf8')
  for (const key of CONFIG_KEYS) assert.ok(page.includes(`\`${key}\``), key)
  for (const command of ['snapshot', 'preview', 'doctor', 'login', 'configure'])
    for (const [option] of helpFor(command).matchAll(/--[a-z][a-z-]+/g))
      assert.ok(page.includes(option), `${command} ${option}`)
})
