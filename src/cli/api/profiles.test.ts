import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runConfigure } from './configure.ts'
import type { ConfigureParts } from './configure.ts'
import { chooseProfile, parseEndpoint, profilesPath, storeProfile } from './profiles.ts'

function openHome() {
  const home = mkdtempSync(join(tmpdir(), 'tintype-profiles-'))
  return { home, env: { HOME: home }, [Symbol.dispose]: () => rmSync(home, { recursive: true }) }
}
const profile = (name: string) => ({
  endpoint: `https://${name}.example`,
  key: { id: `ID-${name}`, secret: `S-${name}` },
})

test('the command line goes before the environment, that before the profile, and that before the key of the server', async () => {
  using place = openHome()
  const { home, env } = place
  await assert.rejects(chooseProfile({ env, home }), {
    code: 'config_invalid',
    message: 'There is no profile "default": run "tintype configure".',
  })
  writeFileSync(join(home, 'credentials.json'), '{"accessKeyId":"OWN","accessKeySecret":"s"}')
  const own = { endpoint: 'http://127.0.0.1:8080', key: { id: 'OWN', secret: 's' } }
  assert.deepEqual(await chooseProfile({ env, home }), own)
  for (const name of ['default', 'team']) await storeProfile(profilesPath(env), name, profile(name))
  assert.deepEqual(await chooseProfile({ env, home }), profile('default'))
  assert.deepEqual(await chooseProfile({ env: { ...env, TINTYPE_PROFILE: 'team' }, home }), profile('team'))
  const keys = { ...env, TINTYPE_ACCESS_KEY_ID: 'E', TINTYPE_ACCESS_KEY_SECRET: 's', TINTYPE_PROFILE: 'team' }
  assert.deepEqual((await chooseProfile({ env: keys, home })).key, { id: 'E', secret: 's' })
  const temporary = await chooseProfile({ env: { ...keys, TINTYPE_SECURITY_TOKEN: 't' }, home })
  assert.deepEqual(temporary.key, { id: 'E', secret: 's', securityToken: 't' })
  assert.deepEqual(await chooseProfile({ env: keys, home, profile: 'default' }), profile('default'))
  const elsewhere = { ...env, TINTYPE_ENDPOINT: 'https://other.example' }
  assert.equal((await chooseProfile({ env: elsewhere, home })).endpoint, 'https://other.example')
  const written = await chooseProfile({ env: elsewhere, home, endpoint: 'http://here.example:80/' })
  assert.equal(written.endpoint, 'http://here.example')
  await assert.rejects(chooseProfile({ env, home, profile: 'tam' }), {
    message: 'There is no profile "tam" (there are: default, team): run "tintype configure --profile tam".',
  })
})

test("the file is its owner's alone, and one that others can read is refused", async () => {
  using place = openHome()
  const { home, env } = place
  const path = profilesPath(env)
  await storeProfile(path, 'default', profile('a'))
  assert.deepEqual([statSync(path).mode & 0o777, statSync(join(home, '.tintype')).mode & 0o777], [0o600, 0o700])
  assert.deepEqual(readdirSync(join(home, '.tintype')), ['config.json'])
  chmodSync(path, 0o640)
  const refused = {
    code: 'permission_denied',
    message: `${path} has secrets and others can read it: run "chmod 600 ${path}".`,
  }
  await assert.rejects(chooseProfile({ env, home }), refused)
  await assert.rejects(storeProfile(path, 'b', profile('b')), refused)
})

for (const [text, reason] of [
  ['{"profiles":{"default":{"accessKeySecret":"hidden"}}}', 'a profile that is not whole'],
  ['{"secret": hidden', 'no JSON'],
  ['[]', 'a list'],
  ['{}', 'no profiles'],
] as const)
  test(`a damaged file is a sentence without what is in it: ${reason}`, async () => {
    using place = openHome()
    const { home, env } = place
    mkdirSync(join(home, '.tintype'))
    writeFileSync(profilesPath(env), text, { mode: 0o600 })
    await assert.rejects(chooseProfile({ env, home }), {
      code: 'config_invalid',
      message: `${profilesPath(env)} is not as "tintype configure" writes it: repair or remove it.`,
    })
  })

test('half a key in the environment is a mistake', async () => {
  using place = openHome()
  for (const [have, missing] of [
    ['ID', 'SECRET'],
    ['SECRET', 'ID'],
  ] as const)
    await assert.rejects(
      chooseProfile({ env: { ...place.env, [`TINTYPE_ACCESS_KEY_${have}`]: 'x' }, home: place.home }),
      {
        message: `TINTYPE_ACCESS_KEY_${missing} must be set together with TINTYPE_ACCESS_KEY_${have}.`,
      },
    )
})

for (const text of ['ftp://a', 'a.example', 'http://', 'https://u:p@a', 'https://a/path', 'https://a?b', 'https://a#c'])
  test(`no endpoint: ${text}`, () => assert.throws(() => parseEndpoint(text), { code: 'usage_invalid' }))

function parts(path: string, change: Partial<ConfigureParts['prompts']> = {}): ConfigureParts {
  const asked: Record<string, string> = { Server: 'https://a.example', 'Access key id': 'ID', 'Access key secret': 'S' }
  return {
    terminal: { out: () => {}, err: () => {}, isInteractive: false, columns: () => 80 },
    prompts: {
      canAsk: true,
      ask: async (question, { isHidden }) => {
        assert.equal(isHidden, question.includes('secret'))
        return asked[question.replace(/[:(].*$/, '').trim()]!
      },
      readInput: async () => 'piped\n',
      ...change,
    },
    path,
  }
}

test('configure asks a person, or takes all from the command line and the secret from a pipe', async () => {
  using place = openHome()
  const { home, env } = place
  await runConfigure([], parts(profilesPath(env)))
  assert.deepEqual(await chooseProfile({ env, home }), {
    endpoint: 'https://a.example',
    key: { id: 'ID', secret: 'S' },
  })
  const line = ['--profile', 'b', '--endpoint', 'https://b.example', '--access-key-id', 'B', '--secret-stdin']
  await runConfigure(line, parts(profilesPath(env), { canAsk: false }))
  assert.equal((await chooseProfile({ env, home, profile: 'b' })).key.secret, 'piped')
  assert.equal((await chooseProfile({ env, home })).key.id, 'ID', 'the other one is still there')
})

for (const [args, canAsk, pattern] of [
  [[], false, /has no terminal to ask: give --endpoint and --secret-stdin/],
  [['--endpoint', 'https://a', '--access-key-id', 'A'], false, /pipe it in with --secret-stdin/],
  [['--endpoint', 'here'], true, /The endpoint must be/],
  [['--access-key-id', 'a b'], true, /without blanks/],
  [['--profile', '../x'], true, /The name of a profile must be/],
] as const)
  test(`configure refuses, and writes nothing: ${args.join(' ')}`, async () => {
    using place = openHome()
    const { home, env } = place
    await assert.rejects(runConfigure(args, parts(profilesPath(env), { canAsk })), pattern)
    assert.deepEqual(readdirSync(home), [])
  })

test('a profile is plain JSON, for other tools', async () => {
  using place = openHome()
  await storeProfile(profilesPath(place.env), 'default', profile('a'))
  assert.deepEqual(JSON.parse(readFileSync(profilesPath(place.env), 'utf8')), {
    profiles: { default: { endpoint: 'https://a.example', accessKeyId: 'ID-a', accessKeySecret: 'S-a' } },
  })
})
