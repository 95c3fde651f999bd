import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Preview, Captured } from '#snapshot/result.ts'
import { startContainer } from '#lab/container.ts'
import type { Container } from '#lab/container.ts'
import { labEngine } from '#lab/engine.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startProxy } from '#lab/proxy.ts'
import { startRegistry } from '#lab/registry.ts'
import type { Registry } from '#lab/registry.ts'
import { mustRun } from '#lab/workspace.ts'
import { digestOf } from '#oci/digest.ts'

/** The command as a user has it, `bin/tintype`, with a real engine and a registry that wants a password. */
const root = mkdtempSync(join(tmpdir(), 'tintype-command-'))
let engine: Engine
let registry: Registry
let box: Container
before(async () => {
  engine = await labEngine('docker20')
  registry = await startRegistry({ users: { ann: 'right' } })
  box = await startContainer(engine, await busyboxImage(engine), {
    args: ['--name', 'command-box', '--volume', '/data'],
  })
  await box.exec([
    'sh',
    '-c',
    'mkdir -p /work/cache; echo hello > /work/note; head -c 100000 /dev/urandom > /work/cache/big',
  ])
})
after(async () => {
  await box.remove()
  await registry.stop()
  await engine.stop()
  rmSync(root, { recursive: true })
})

async function run(
  args: readonly string[],
  { input = '', env = {} }: { input?: string; env?: NodeJS.ProcessEnv } = {},
) {
  const base = {
    PATH: process.env.PATH,
    HOME: root,
    TINTYPE_HOME: join(root, 'home'),
    DOCKER_HOST: `unix://${engine.socketPath}`,
  }
  const child = spawn('bin/tintype', args, { env: { ...base, ...env } })
  child.stdin.end(input)
  const seen = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (seen.out += chunk))
  child.stderr.on('data', (chunk) => (seen.err += chunk))
  const [code] = await once(child, 'close')
  return { ...seen, code: code as number }
}
const errorOf = (out: string) => JSON.parse(out).error.code as string

test('preview names sizes, exclusions and the volume', async () => {
  const { out, err, code } = await run(['preview', 'command-box', '--exclude', '/work/cache', '--json'])
  assert.equal(code, 0, err)
  const found: Preview = JSON.parse(out)
  assert.deepEqual([found.container, found.unsavedMounts], ['command-box', ['/data']])
  assert.deepEqual(
    found.excluded.map(({ path }) => path),
    ['/work/cache'],
  )
  assert.match((await run(['preview', 'command-box'])).out, /\/work\/cache\/big\n/)
})

test('a snapshot to a layout on disk is one JSON object, and nothing on stderr when quiet', async () => {
  const directory = join(root, 'images')
  const { out, err, code } = await run([
    'snapshot',
    'command-box',
    `oci:${directory}:v1`,
    '--json',
    '--quiet',
    '--label',
    'team=lab',
  ])
  assert.deepEqual([code, err], [0, ''])
  const captured: Captured = JSON.parse(out)
  assert.equal(captured.reference, `oci:${directory}:v1`)
  const [entry] = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')).manifests
  assert.deepEqual([entry.digest, entry.annotations['org.opencontainers.image.ref.name']], [captured.digest, 'v1'])
  assert.deepEqual(captured.unsavedMounts, ['/data'])
})

test('a file that is mostly holes is warned of before it is saved, and when it was', async () => {
  await box.exec(['truncate', '-s', '1100M', '/work/disk.img'])
  const warning = /^\/work\/disk\.img has 1\.1 GiB, of which 0\.0 MiB are on the disk: .*Exclude it/
  const warningsOf = async (...args: string[]) => {
    const { out, err, code } = await run([...args, '--json'])
    assert.equal(code, 0, err)
    return (JSON.parse(out) as Captured | Preview).warnings.filter((each) => warning.test(each)).length
  }
  const target = `oci:${join(root, 'holes')}:v1`
  assert.equal(await warningsOf('preview', 'command-box'), 1)
  assert.equal(await warningsOf('preview', 'command-box', '--exclude', '/work/disk.img'), 0)
  assert.equal(await warningsOf('snapshot', 'command-box', target, '--compression', 'gzip', '--quiet'), 1)
  await box.exec(['rm', '/work/disk.img'])
})

test('login, snapshot, and the tag that exists', async () => {
  const target = `${registry.host}/team/box:v1`
  const login = (password: string) =>
    run(['login', registry.host, '--username', 'ann', '--password-stdin'], { input: `${password}\n` })
  const anonymous = await run(['snapshot', 'command-box', target, '--json'])
  assert.deepEqual([anonymous.code, errorOf(anonymous.out)], [6, 'registry_denied'])
  const refused = await login('wrong')
  assert.deepEqual([refused.code, refused.out], [6, ''])
  assert.match(refused.err, /^tintype: [^\n]+\n$/)
  assert.equal((await login('right')).code, 0)

  const saved = await run(['snapshot', 'command-box', target])
  assert.equal(saved.code, 0, saved.err)
  assert.ok(saved.out.startsWith(`Saved ${target}\n`))
  assert.match(saved.out, /\n {2}digest {6}sha256:[0-9a-f]{64}\n/)
  await box.exec(['sh', '-c', 'echo more > /work/more'])
  const again = await run(['snapshot', 'command-box', target, '--json'])
  assert.deepEqual([again.code, errorOf(again.out)], [4, 'tag_exists'])
  assert.equal((await run(['snapshot', 'command-box', target, '--overwrite', '--quiet'])).code, 0)
  assert.match((await run(['doctor', target])).out, /ok +registry +\S+ answers; v1 is sha256:/)
})

const FAILURES: readonly (readonly [string, readonly string[], number, string])[] = [
  ['an unknown container', ['snapshot', 'nobody', 'oci:/nowhere:v1'], 3, 'container_not_found'],
  ['an exclusion that is not absolute', ['preview', 'command-box', '--exclude', 'work'], 2, 'exclusion_invalid'],
  ['an exclusion with ..', ['preview', 'command-box', '--exclude', '/work/../etc'], 2, 'exclusion_invalid'],
  ['a registry that is down', ['snapshot', 'command-box', '127.0.0.1:9/a:v1'], 6, 'registry_unavailable'],
  ['a level that gzip has not', ['snapshot', 'command-box', 'oci:/nowhere:v1', '--level', '12'], 2, 'usage_invalid'],
]
for (const [reason, args, exitCode, errorCode] of FAILURES) {
  test(`${reason} is exit code ${exitCode}, and the container goes on`, async () => {
    const { out, code } = await run([...args, '--json'])
    assert.deepEqual([errorOf(out), code], [errorCode, exitCode])
    assert.equal(await engine.docker(['inspect', '--format', '{{.State.Status}}', 'command-box']), 'running')
  })
}

test('after a snapshot the preview says what is new, and of all the same as without an index', async () => {
  const saved = await run(['snapshot', 'command-box', `oci:${join(root, 'previewed')}:v1`, '--full', '--quiet'])
  assert.equal(saved.code, 0, saved.err)
  await box.exec(['sh', '-c', 'mkdir /work/later; echo fresh > /work/later/fresh; rm /work/note; mkfifo /work/pipe'])
  const previewOf = async (home: string, ...more: readonly string[]) => {
    const env = { TINTYPE_HOME: join(root, home) }
    const { out, err, code } = await run(['preview', 'command-box', ...more, '--json'], { env })
    assert.equal(code, 0, err)
    const { mode, changed, totalMs: _, modeReason: _reason, ...all } = JSON.parse(out) as Preview
    return { mode, changed, all }
  }
  const delta = await previewOf('home')
  const full = await previewOf('empty-home')
  assert.deepEqual([delta.mode, delta.changed?.rawBytes, full.mode, full.changed], ['delta', 6, 'full', undefined])
  assert.deepEqual(delta.all, full.all)
  const excluding = await previewOf('home', '--exclude', '/work/cache')
  assert.equal(excluding.mode, 'full', 'an index is of one set of exclusions')
})

test('a container that somebody else has paused is refused, and stays paused', async () => {
  await box.pause()
  try {
    const { out, code } = await run(['snapshot', 'command-box', `oci:${root}/paused:v1`, '--json'])
    assert.deepEqual([errorOf(out), code], ['container_paused', 5])
    assert.equal(await engine.docker(['inspect', '--format', '{{.State.Status}}', 'command-box']), 'paused')
  } finally {
    await box.unpause()
  }
})

test('a directory that is no layout is refused', async () => {
  writeFileSync(join(root, 'file'), '')
  const { out, code } = await run(['snapshot', 'command-box', `oci:${root}/file:v1`, '--json'])
  assert.deepEqual([errorOf(out), code], ['layout_invalid', 6])
})

test('where a proxy is the only way, the command takes it', async () => {
  const name = 'registry.invalid' // nobody but the proxy finds it (RFC 6761 § 6.4)
  await using proxy = await startProxy({ names: [name] })
  await using open = await startRegistry()
  const host = `${name}:${open.host.split(':')[1]}`
  const env = { TINTYPE_REGISTRIES: `http://${host}`, http_proxy: proxy.host }
  const saved = await run(['snapshot', 'command-box', `${host}/team/box:v1`, '--json', '--quiet'], { env })
  assert.equal(saved.code, 0, saved.out)
  const raw = await mustRun('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${open.host}/team/box:v1`])
  assert.equal(digestOf(raw), (JSON.parse(saved.out) as Captured).digest)
  const direct = await run(['snapshot', 'command-box', `${host}/team/box:v2`, '--json'], {
    env: { ...env, NO_PROXY: '.invalid' },
  })
  assert.equal(errorOf(direct.out), 'registry_unavailable')
})
