import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { CONFIG_KEYS, readConfig } from './config.ts'

const directory = mkdtempSync(join(tmpdir(), 'tintype-config-'))
after(() => rmSync(directory, { recursive: true }))
let count = 0
const write = (text: string) => {
  const path = join(directory, `${count++}.yaml`)
  writeFileSync(path, text)
  return path
}
const refused = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AppError)
  assert.equal(error.code, 'config_invalid')
  assert.match(error.message, pattern)
  assert.doesNotMatch(error.message, /\n/)
  return true
}

const DEFAULTS = {
  home: '/var/lib/tintype',
  listen: { host: '127.0.0.1', port: 8080 },
  metricsListen: { host: '127.0.0.1', port: 9090 },
  database: { kind: 'sqlite', path: '/var/lib/tintype/tintype.db' },
  runtime: 'docker',
  zstdEverywhere: false,
  usesTracepoints: true,
  dockerSocketPath: '/var/run/docker.sock',
  region: 'local',
  trustedHosts: [],
  datasetPaths: [],
  rateLimit: 100,
  legacySignatures: false,
} as const

test('an empty environment gives the documented defaults', async () => {
  assert.deepEqual(await readConfig({}), DEFAULTS)
})

test('an empty variable counts as unset', async () => {
  assert.deepEqual(await readConfig(Object.fromEntries(CONFIG_KEYS.map((key) => [key, '']))), DEFAULTS)
})

const FULL = {
  TINTYPE_HOME: '/srv/tintype/',
  TINTYPE_LISTEN: '[::1]:80',
  TINTYPE_METRICS_LISTEN: 'metrics.local:0',
  TINTYPE_TLS_CERT: '/etc/tls/cert.pem',
  TINTYPE_TLS_KEY: '/etc/tls/../tls/key.pem',
  TINTYPE_DATABASE: 'postgres://tintype:secret@db/tintype',
  TINTYPE_RUNTIME: 'kubernetes',
  TINTYPE_ZSTD: 'auto',
  TINTYPE_TRACEPOINTS: 'never',
  DOCKER_HOST: 'unix:///run/podman/podman.sock',
  TINTYPE_ROOT_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  TINTYPE_ROOT_ACCESS_KEY_SECRET: 'correct-horse',
  TINTYPE_REGION: 'cn-hangzhou',
  TINTYPE_ACCOUNT_ID: '1234567890123456',
  TINTYPE_REGISTRIES: 'registry.example.com, http://lab:5000,',
  TINTYPE_TRUSTED_HOSTS: 'Auth.example.net,*.store.example:9000',
  TINTYPE_DEFAULT_REPOSITORY: 'registry.example.com/team/saved',
  TINTYPE_DATASET_PATHS: '/data,/mnt/sets',
  TINTYPE_RATE_LIMIT: '0',
  TINTYPE_LEGACY_SIGNATURES: 'on',
  TINTYPE_SPOOL_BYTES: '20GiB',
  TINTYPE_MAX_LAYER_BYTES: '10GiB',
  TINTYPE_WORKERS: '4',
  TINTYPE_MAX_SNAPSHOTS: '8',
  HTTP_PROXY: 'http://proxy:3128',
  HTTPS_PROXY: 'proxy:3129',
  NO_PROXY: 'lab,10.0.0.0/8',
}
const FULL_CONFIG = {
  home: '/srv/tintype',
  listen: { host: '::1', port: 80 },
  metricsListen: { host: 'metrics.local', port: 0 },
  tls: { certPath: '/etc/tls/cert.pem', keyPath: '/etc/tls/key.pem' },
  database: { kind: 'postgres', url: 'postgres://tintype:secret@db/tintype' },
  runtime: 'kubernetes',
  zstdEverywhere: true,
  usesTracepoints: false,
  dockerSocketPath: '/run/podman/podman.sock',
  rootAccessKey: { id: 'AKIDEXAMPLE', secret: 'correct-horse' },
  region: 'cn-hangzhou',
  accountId: '1234567890123456',
  registries: [
    { host: 'registry.example.com', plainHttp: false },
    { host: 'lab:5000', plainHttp: true },
  ],
  defaultRepository: 'registry.example.com/team/saved',
  trustedHosts: ['auth.example.net', '*.store.example:9000'],
  datasetPaths: ['/data', '/mnt/sets'],
  rateLimit: 0,
  legacySignatures: true,
  spoolBytes: 20 * 2 ** 30,
  maxLayerBytes: 10 * 2 ** 30,
  workers: 4,
  maxSnapshots: 8,
  proxies: { http: 'http://proxy:3128', https: 'proxy:3129', direct: ['lab', '10.0.0.0/8'] },
} as const

test('every key of the environment is read', async () => {
  assert.deepEqual(Object.keys(FULL), [...CONFIG_KEYS])
  assert.deepEqual(await readConfig(FULL), FULL_CONFIG)
})

test('a file has the same keys in lower case', async () => {
  const lines = Object.entries(FULL).map(([key, value]) => `${key.toLowerCase()}: ${JSON.stringify(value)}`)
  assert.deepEqual(await readConfig({}, write(lines.join('\n'))), FULL_CONFIG)
})

test('a file may write numbers and lists as YAML has them', async () => {
  const file = write(
    'tintype_workers: 4\ntintype_registries:\n  - a.example\n  - http://b\ntintype_legacy_signatures: off\ntintype_region:\n',
  )
  const config = await readConfig({}, file)
  assert.equal(config.workers, 4)
  assert.deepEqual(config.registries, [
    { host: 'a.example', plainHttp: false },
    { host: 'b', plainHttp: true },
  ])
  assert.equal(config.legacySignatures, false)
  assert.equal(config.region, 'local')
})

test('digits in a file are text: zeros in front stay, and none is rounded', async () => {
  const ids = ['9999999999999999', '0012345678901234']
  for (const id of ids) assert.equal((await readConfig({}, write(`tintype_account_id: ${id}`))).accountId, id)
})

test('the environment goes before the file', async () => {
  const config = await readConfig({ TINTYPE_REGION: 'here' }, write('tintype_region: there\ntintype_workers: 2'))
  assert.equal(config.region, 'here')
  assert.equal(config.workers, 2)
})

test('an empty file is no mistake', async () => {
  assert.deepEqual(await readConfig({}, write('# nothing yet\n')), DEFAULTS)
})

const BAD_VALUES: readonly (readonly [keyof typeof FULL, string, RegExp, string])[] = [
  ['TINTYPE_HOME', 'var/tintype', /TINTYPE_HOME must be an absolute path such as .*"var\/tintype"/, 'a relative home'],
  ['TINTYPE_LISTEN', '8080', /TINTYPE_LISTEN must be HOST:PORT/, 'a listen address without a host'],
  ['TINTYPE_LISTEN', '127.0.0.1:65536', /TINTYPE_LISTEN must be HOST:PORT/, 'a port that does not exist'],
  ['TINTYPE_METRICS_LISTEN', '::1:80', /TINTYPE_METRICS_LISTEN must be HOST:PORT/, 'IPv6 without brackets'],
  ['TINTYPE_TLS_CERT', 'cert.pem', /TINTYPE_TLS_CERT must be an absolute path/, 'a relative certificate'],
  ['TINTYPE_DATABASE', 'mysql://db', /TINTYPE_DATABASE must be sqlite:PATH or postgres/, 'a database of another kind'],
  [
    'TINTYPE_DATABASE',
    'sqlite:tintype.db',
    /TINTYPE_DATABASE must be sqlite: and an absolute path/,
    'a relative database',
  ],
  ['TINTYPE_RUNTIME', 'podman', /TINTYPE_RUNTIME must be docker or kubernetes, not "podman"/, 'an unknown runtime'],
  ['TINTYPE_TRACEPOINTS', 'off', /TINTYPE_TRACEPOINTS must be auto or never/, 'an unknown word for tracepoints'],
  ['TINTYPE_ZSTD', 'always', /TINTYPE_ZSTD must be never or auto/, 'an unknown zstd word'],
  [
    'DOCKER_HOST',
    'tcp://10.0.0.1:2375',
    /DOCKER_HOST must be unix:.*engine's own host\), not "tcp:\/\/"/,
    'a remote engine',
  ],
  ['DOCKER_HOST', 'ssh://root:secret@host', /DOCKER_HOST must be unix:.*not "ssh:\/\/"/, 'an engine over ssh'],
  ['DOCKER_HOST', '/var/run/docker.sock', /DOCKER_HOST must be unix:\/\/ and the path/, 'a socket without its scheme'],
  ['TINTYPE_REGION', 'Local!', /TINTYPE_REGION must be/, 'a region with other signs'],
  ['TINTYPE_ACCOUNT_ID', '12ab', /TINTYPE_ACCOUNT_ID must be 1 to 32 digits/, 'an account with letters'],
  [
    'TINTYPE_REGISTRIES',
    'a.example/team',
    /TINTYPE_REGISTRIES must be .* without a path, not "a.example\/team"/,
    'a registry with a path',
  ],
  ['TINTYPE_REGISTRIES', 'https://a.example', /TINTYPE_REGISTRIES must be/, 'a registry with another scheme'],
  [
    'TINTYPE_DEFAULT_REPOSITORY',
    'reg.example/team:latest',
    /TINTYPE_DEFAULT_REPOSITORY must be .* without a tag/,
    'a tag',
  ],
  ['TINTYPE_DATASET_PATHS', '/data,sets', /TINTYPE_DATASET_PATHS must be an absolute path/, 'a relative data set'],
  ['TINTYPE_RATE_LIMIT', '-1', /TINTYPE_RATE_LIMIT must be a whole number from 0/, 'a negative limit'],
  ['TINTYPE_LEGACY_SIGNATURES', 'yes', /TINTYPE_LEGACY_SIGNATURES must be off or on/, 'another word for on'],
  ['TINTYPE_SPOOL_BYTES', '20 apples', /TINTYPE_SPOOL_BYTES must be a size such as 20GiB/, 'an unknown unit'],
  ['TINTYPE_SPOOL_BYTES', '0', /TINTYPE_SPOOL_BYTES must be a size/, 'a spool of nothing'],
  ['TINTYPE_SPOOL_BYTES', '9000000TiB', /TINTYPE_SPOOL_BYTES must be a size/, 'more than a number holds'],
  ['TINTYPE_WORKERS', '0', /TINTYPE_WORKERS must be a whole number from 1 to 64, not "0"/, 'no workers'],
  ['TINTYPE_WORKERS', '1e1', /TINTYPE_WORKERS must be a whole number/, 'a number in another notation'],
  ['TINTYPE_MAX_SNAPSHOTS', '1.5', /TINTYPE_MAX_SNAPSHOTS must be a whole number/, 'half a snapshot'],
]
for (const [key, value, pattern, reason] of BAD_VALUES) {
  test(`refuses ${reason}`, async () => {
    await assert.rejects(readConfig({ ...FULL, [key]: value }), refused(pattern))
    const inFile = new RegExp(pattern.source.replace(key, `${key.toLowerCase()} in .*`))
    await assert.rejects(readConfig({}, write(`${key.toLowerCase()}: ${JSON.stringify(value)}`)), refused(inFile))
  })
}

for (const [half, other] of [
  ['TINTYPE_TLS_CERT', 'TINTYPE_TLS_KEY'],
  ['TINTYPE_TLS_KEY', 'TINTYPE_TLS_CERT'],
  ['TINTYPE_ROOT_ACCESS_KEY_ID', 'TINTYPE_ROOT_ACCESS_KEY_SECRET'],
  ['TINTYPE_ROOT_ACCESS_KEY_SECRET', 'TINTYPE_ROOT_ACCESS_KEY_ID'],
] as const) {
  test(`refuses ${half} alone`, async () => {
    await assert.rejects(
      readConfig({ [half]: FULL[half] }),
      refused(new RegExp(`${other} must be set together with ${half}`)),
    )
  })
}

test('no message repeats a secret', async () => {
  for (const env of [
    { TINTYPE_ROOT_ACCESS_KEY_ID: 'AKIDEXAMPLE', TINTYPE_ROOT_ACCESS_KEY_SECRET: 'top secret' },
    { TINTYPE_DATABASE: 'postgress://u:top secret@db/x' },
    { DOCKER_HOST: 'tcp://u:top secret@host' },
  ])
    await assert.rejects(
      readConfig(env),
      (error: Error) => refused(/must be/)(error) && !/top secret/.test(error.message),
    )
})

const BAD_FILES: readonly (readonly [string, RegExp, string])[] = [
  ['tintype_hoem: /srv', /unknown key "tintype_hoem": the keys are tintype_home, /, 'an unknown key'],
  ['TINTYPE_HOME: /srv', /unknown key "TINTYPE_HOME": write it as tintype_home/, 'a key in upper case'],
  ['docker_config: /x', /unknown key "docker_config"/, 'a key of another program'],
  ['- a\n- b', /must hold lines such as/, 'a list at the top'],
  ['just text', /must hold lines such as/, 'a text at the top'],
  ['tintype_home: {a: 1}', /must hold lines such as/, 'a mapping as a value'],
  ['tintype_home: "open', /is no YAML: .* in line 1/, 'broken YAML'],
  ['tintype_home: /a\ntintype_home: /b', /is no YAML: .* in line 2/, 'a key that is there twice'],
  ['tintype_home: [/a, /b]', /tintype_home in .* must be one value, not a list/, 'a list where one value belongs'],
]
for (const [text, pattern, reason] of BAD_FILES) {
  test(`refuses a file with ${reason}`, async () => {
    await assert.rejects(readConfig({}, write(text)), refused(pattern))
  })
}

test('refuses a file that is not there, or is a directory', async () => {
  await assert.rejects(readConfig({}, join(directory, 'none.yaml')), refused(/none.yaml does not exist: name another/))
  await assert.rejects(readConfig({}, directory), refused(/cannot be read \(EISDIR\)/))
})
