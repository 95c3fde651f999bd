import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { AppError } from '#base/errors.ts'
import { readCredentials, storeCredentials } from './credentials.ts'
import type { Credentials } from './auth.ts'

const root = mkdtempSync(join(tmpdir(), 'tintype-credentials-'))
chmodSync(root, 0o755)
after(() => rmSync(root, { recursive: true }))
let count = 0
const newHome = (config?: unknown) => {
  const home = join(root, `home-${count++}`)
  mkdirSync(home)
  if (config !== undefined) writeConfig(home, config)
  return home
}
const configOf = (home: string) => join(home, '.docker/config.json')
const writeConfig = (home: string, config: unknown) => {
  mkdirSync(dirname(configOf(home)), { recursive: true })
  writeFileSync(configOf(home), typeof config === 'string' ? config : JSON.stringify(config))
}
const readConfig = (home: string): unknown => JSON.parse(readFileSync(configOf(home), 'utf8'))
const base64 = (text: string) => Buffer.from(text).toString('base64')
const basic = (username: string, password: string): Credentials => ({ kind: 'basic', username, password })

/** A credential helper that keeps one file per server; it answers as docker-credential-helpers do. */
const bin = join(root, 'bin')
mkdirSync(bin)
writeFileSync(
  join(bin, 'docker-credential-box'),
  `#!/bin/sh
case $1 in
get) read -r server; file=$HOME/box-$(echo "$server" | tr '/:' '__')
  if [ "$server" = locked.example ]; then echo 'the keychain is locked'; exit 1; fi
  if [ "$server" = odd.example ]; then echo 'hello'; exit 0; fi
  if [ -e "$file" ]; then cat "$file"; else echo 'credentials not found in native keychain'; exit 1; fi ;;
store) cat > "$HOME/box-stored"; id -u > "$HOME/box-uid" ;;
esac
`,
  { mode: 0o755 },
)
const PATH = `${bin}:${process.env.PATH}`
const asUser = { identity: { uid: 1000, passwdPath: '/dev/null' } }

const CONFIGS: readonly (readonly [string, unknown, string, Credentials | undefined])[] = [
  [
    'a user and a password',
    { auths: { 'reg.example': { auth: base64('ann:secret') } } },
    'reg.example',
    basic('ann', 'secret'),
  ],
  ['a password with colons', { auths: { r: { auth: base64('ann:a:b:') } } }, 'r', basic('ann', 'a:b:')],
  ['an empty password', { auths: { r: { auth: base64('ann:') } } }, 'r', basic('ann', '')],
  ['a host with a port', { auths: { 'localhost:5000': { auth: base64('a:b') } } }, 'localhost:5000', basic('a', 'b')],
  [
    'another port is another registry',
    { auths: { 'localhost:5000': { auth: base64('a:b') } } },
    'localhost:5001',
    undefined,
  ],
  [
    'Docker Hub under its old name',
    { auths: { 'https://index.docker.io/v1/': { auth: base64('a:b') } } },
    'docker.io',
    basic('a', 'b'),
  ],
  ['Docker Hub under its new name', { auths: { 'docker.io': { auth: base64('a:b') } } }, 'docker.io', basic('a', 'b')],
  [
    'a key that is a URL, from an old file',
    { auths: { 'https://reg.example/v1/': { auth: base64('a:b') } } },
    'reg.example',
    basic('a', 'b'),
  ],
  [
    'an identity token goes before a password',
    { auths: { r: { auth: base64('a:b'), identitytoken: 'T' } } },
    'r',
    { kind: 'identityToken', token: 'T' },
  ],
  ['user and password as fields', { auths: { r: { username: 'a', password: 'b' } } }, 'r', basic('a', 'b')],
  ['an empty entry', { auths: { r: {} } }, 'r', undefined],
  ['no such registry', { auths: {} }, 'r', undefined],
  ['a file without auths', { proxies: {} }, 'r', undefined],
  ['an empty file', '', 'r', undefined],
  ['no file', undefined, 'r', undefined],
]
for (const [reason, config, registry, expected] of CONFIGS) {
  test(`reads ${reason}`, async () => {
    assert.deepEqual(await readCredentials(registry, { HOME: newHome(config) }, asUser), expected)
  })
}

const BROKEN: readonly (readonly [string, unknown, RegExp])[] = [
  ['no JSON', 'top-secret:{', /is not valid JSON: repair it/],
  ['a list', [], /must hold a JSON object/],
  ['auths of another type', { auths: ['x'] }, /has an "auths" that is not an object/],
  ['an auth that is a number', { auths: { r: { auth: 1 } } }, /has an "auths" that is not an object of entries/],
  ['credHelpers of another type', { credHelpers: { r: 1 } }, /has a "credHelpers"/],
  ['a credsStore of another type', { credsStore: {} }, /has a "credsStore"/],
  [
    'an auth without a colon',
    { auths: { r: { auth: base64('top-secret') } } },
    /not the base64 form of USER:PASSWORD: run "tintype login r"/,
  ],
]
for (const [reason, config, pattern] of BROKEN) {
  test(`a config with ${reason} gets one sentence that repeats nothing of it`, async () => {
    await assert.rejects(readCredentials('r', { HOME: newHome(config) }, asUser), (error: unknown) => {
      assert.ok(error instanceof AppError)
      assert.equal(error.code, 'config_invalid')
      assert.match(error.message, pattern)
      assert.doesNotMatch(error.message, /top-secret|\n/)
      return true
    })
  })
}

test('a config that is a directory gets one sentence', async () => {
  const home = newHome()
  mkdirSync(configOf(home), { recursive: true })
  await assert.rejects(readCredentials('r', { HOME: home }, asUser), /cannot be read \(EISDIR\)/)
})

test('DOCKER_CONFIG names the directory, and HOME is not read then', async () => {
  const home = newHome({ auths: { r: { auth: base64('home:x') } } })
  const other = newHome({ auths: { r: { auth: base64('other:x') } } })
  const env = { HOME: home, DOCKER_CONFIG: join(other, '.docker') }
  assert.deepEqual(await readCredentials('r', env, asUser), basic('other', 'x'))
  assert.equal(await readCredentials('r', { HOME: home, DOCKER_CONFIG: root }, asUser), undefined)
})

test('under sudo the invoking user is asked after root', async () => {
  const rootHome = newHome({ auths: { both: { auth: base64('root:x') } } })
  const userHome = newHome({ auths: { both: { auth: base64('user:x') }, mine: { auth: base64('user:y') } } })
  const passwdPath = join(root, 'passwd')
  writeFileSync(passwdPath, `root:x:0:0:root:/root:/bin/sh\nann:x:1234:1234:Ann:${userHome}:/bin/sh\n`)
  const env = { HOME: rootHome, SUDO_USER: 'ann' }
  const sudo = { identity: { uid: 0, passwdPath } }
  assert.deepEqual(await readCredentials('both', env, sudo), basic('root', 'x'))
  assert.deepEqual(await readCredentials('mine', env, sudo), basic('user', 'y'))
  const others: readonly (readonly [object, number, string])[] = [
    [env, 1000, 'SUDO_USER counts for root only'],
    [{ ...env, SUDO_USER: 'bob' }, 0, 'a user that the host does not know'],
    [{ ...env, SUDO_USER: 'an' }, 0, 'a part of a name'],
  ]
  for (const [environment, uid, reason] of others)
    assert.equal(
      await readCredentials('mine', { ...environment }, { identity: { uid, passwdPath } }),
      undefined,
      reason,
    )
})

test('a helper of one registry, a store for all others', async () => {
  const home = newHome({ credHelpers: { 'one.example': 'box' }, auths: { 'two.example': { auth: base64('file:x') } } })
  writeFileSync(
    join(home, 'box-one.example'),
    JSON.stringify({ ServerURL: 'one.example', Username: 'ann', Secret: 's' }),
  )
  const env = { HOME: home, PATH }
  assert.deepEqual(await readCredentials('one.example', env, asUser), basic('ann', 's'))
  assert.deepEqual(await readCredentials('two.example', env, asUser), basic('file', 'x'))
  writeConfig(home, { credsStore: 'box', auths: { 'one.example': {} } })
  assert.deepEqual(await readCredentials('one.example', env, asUser), basic('ann', 's'))
  assert.equal(await readCredentials('two.example', env, asUser), undefined)
})

test('the user <token> of a helper stands for an identity token', async () => {
  const home = newHome({ credsStore: 'box' })
  writeFileSync(join(home, 'box-https___index.docker.io_v1_'), JSON.stringify({ Username: '<token>', Secret: 'T' }))
  assert.deepEqual(await readCredentials('docker.io', { HOME: home, PATH }, asUser), {
    kind: 'identityToken',
    token: 'T',
  })
})

const BAD_HELPERS: readonly (readonly [string, string, string, RegExp])[] = [
  ['nowhere', 'r', 'config_invalid', /"docker-credential-nowhere", which .* names, cannot be started: install it/],
  ['../box', 'r', 'config_invalid', /cannot be started/],
  ['box', 'locked.example', 'registry_denied', /failed for locked.example: "the keychain is locked"/],
  ['box', 'odd.example', 'registry_denied', /failed for odd.example: "its answer is not JSON"/],
]
for (const [credsStore, registry, code, pattern] of BAD_HELPERS) {
  test(`the helper ${credsStore} for ${registry} gets one sentence`, async () => {
    const env = { HOME: newHome({ credsStore }), PATH }
    await assert.rejects(readCredentials(registry, env, asUser), (error: unknown) => {
      assert.ok(error instanceof AppError)
      assert.equal(error.code, code)
      assert.match(error.message, pattern)
      return true
    })
  })
}

test(
  "under sudo the user's helper runs as the user, and one that is missing is named",
  { skip: process.getuid?.() !== 0 && 'only root can become another user' },
  async () => {
    const userHome = newHome({ credsStore: 'box' })
    writeFileSync(join(userHome, 'box-who.example'), JSON.stringify({ Username: 'ann', Secret: 's' }), { mode: 0o600 })
    chownSync(join(userHome, 'box-who.example'), 65534, 65534)
    const passwdPath = join(root, 'passwd-helper')
    writeFileSync(passwdPath, `nobody:x:65534:65534::${userHome}:/bin/sh\n`)
    const env = { HOME: newHome(), PATH, SUDO_USER: 'nobody' }
    const sudo = { identity: { uid: 0, passwdPath } }
    assert.deepEqual(await readCredentials('who.example', env, sudo), basic('ann', 's'))
    chownSync(join(userHome, 'box-who.example'), 1, 1)
    await assert.rejects(readCredentials('who.example', env, sudo), /failed for who.example/)
    writeConfig(userHome, { credsStore: 'nowhere' })
    await assert.rejects(readCredentials('who.example', env, sudo), /docker-credential-nowhere.*cannot be started/)
  },
)

test('a login is kept in a new file, 0600, and read again', async () => {
  const home = newHome()
  const where = await storeCredentials('reg.example:5000', basic('ann', 'päss:word'), { HOME: home }, asUser)
  assert.equal(where, configOf(home))
  assert.equal(statSync(where).mode & 0o777, 0o600)
  assert.equal(statSync(dirname(where)).mode & 0o777, 0o700)
  assert.deepEqual(await readCredentials('reg.example:5000', { HOME: home }, asUser), basic('ann', 'päss:word'))
})

test('any user and password come back', async () => {
  const home = newHome()
  const user = fc.string({ minLength: 1, unit: 'grapheme' }).filter((text) => !text.includes(':'))
  const password = fc.string({ unit: 'grapheme' }).filter((text) => !text.endsWith('\0'))
  await fc.assert(
    fc.asyncProperty(user, password, async (username, secret) => {
      await storeCredentials('r', basic(username, secret), { HOME: home }, asUser)
      assert.deepEqual(await readCredentials('r', { HOME: home }, asUser), basic(username, secret))
    }),
    { numRuns: 50 },
  )
})

test('everything else in the file stays, and no other file is left', async () => {
  const old = {
    auths: { other: { auth: base64('a:b') } },
    HttpHeaders: { A: 'b' },
    credHelpers: { x: 'y' },
    psFormat: 'table',
  }
  const home = newHome(old)
  await storeCredentials('docker.io', { kind: 'identityToken', token: 'T' }, { HOME: home }, asUser)
  const key = 'https://index.docker.io/v1/'
  assert.deepEqual(readConfig(home), { ...old, auths: { ...old.auths, [key]: { identitytoken: 'T' } } })
  assert.deepEqual(readdirSync(join(home, '.docker')), ['config.json'])
})

test('a config that is a symlink stays one', async () => {
  const home = newHome({})
  const target = join(root, 'dotfiles.json')
  writeFileSync(target, '{}')
  rmSync(configOf(home))
  symlinkSync(target, configOf(home))
  await storeCredentials('r', basic('a', 'b'), { HOME: home }, asUser)
  assert.ok(lstatSync(configOf(home)).isSymbolicLink())
  assert.match(readFileSync(target, 'utf8'), /"auth"/)
})

test(
  "root leaves a user's file to the user",
  { skip: process.getuid?.() !== 0 && 'only root can give files away' },
  async () => {
    const home = newHome()
    chownSync(home, 1234, 1235)
    await storeCredentials('r', basic('a', 'b'), { HOME: home })
    for (const path of [dirname(configOf(home)), configOf(home)]) {
      const { uid, gid } = statSync(path)
      assert.deepEqual([uid, gid], [1234, 1235], path)
    }
    chownSync(configOf(home), 77, 78)
    await storeCredentials('r', basic('a', 'c'), { HOME: home })
    assert.equal(statSync(configOf(home)).uid, 77)
  },
)

test('a helper keeps the login, and the file only the name of the registry', async () => {
  const home = newHome({ credsStore: 'box' })
  assert.equal(
    await storeCredentials('r.example', basic('ann', 's'), { HOME: home, PATH }, asUser),
    'docker-credential-box',
  )
  const stored: unknown = JSON.parse(readFileSync(join(home, 'box-stored'), 'utf8'))
  assert.deepEqual(stored, { ServerURL: 'r.example', Username: 'ann', Secret: 's' })
  assert.deepEqual(readConfig(home), { auths: { 'r.example': {} }, credsStore: 'box' })
})

test('nothing is stored into a broken config, or without a place for it', async () => {
  const home = newHome('{')
  await assert.rejects(storeCredentials('r', basic('a', 'b'), { HOME: home }, asUser), /is not valid JSON/)
  assert.equal(readFileSync(configOf(home), 'utf8'), '{')
  await assert.rejects(storeCredentials('r', basic('a', 'b'), {}, asUser), /HOME and DOCKER_CONFIG are unset/)
})

test('a directory that cannot be written gets one sentence', async () => {
  await assert.rejects(
    storeCredentials('r', basic('a', 'b'), { DOCKER_CONFIG: join(bin, 'docker-credential-box') }, asUser),
    /cannot be written \(EEXIST\): check/,
  )
})
