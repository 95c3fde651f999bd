import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { labEngine, type Engine } from '#lab/engine.ts'
import { startFakeRegistry, type Answer, type Seen } from '#lab/fake-registry.ts'
import { startRegistry, type DistributionRegistry } from '#lab/registry.ts'
import { openBench, type Bench } from './command.ts'

/** Registries that do not take the image: a sentence, and a tag that has not moved. */
let engine: Engine
let bench: Bench
let registry: DistributionRegistry
before(async () => {
  engine = await labEngine('docker20')
  bench = await openBench(engine)
  registry = await startRegistry({ users: { ann: 'right' } })
})
after(async () => {
  await registry.stop()
  await bench[Symbol.asyncDispose]()
  await engine.stop()
})

function dockerConfig(name: string, text: string): NodeJS.ProcessEnv {
  mkdirSync(`${bench.root}/${name}`)
  writeFileSync(`${bench.root}/${name}/config.json`, text)
  return { DOCKER_CONFIG: `${bench.root}/${name}` }
}
const snapshotTo = (host: string) => ['snapshot', bench.boxName, `${host}/team/box:v1`]

test('a wrong password, stored or typed', async () => {
  const auth = Buffer.from('ann:wrong').toString('base64')
  const env = dockerConfig('wrong', JSON.stringify({ auths: { [registry.host]: { auth } } }))
  const says = new RegExp(`${registry.host} does not let us .*401.*: run "tintype login ${registry.host}"`)
  await bench.refuses(snapshotTo(registry.host), { exitCode: 6, code: 'registry_denied', says }, { env })

  const login = ['login', registry.host, '--username', 'ann', '--password-stdin']
  const { code, out, err } = await bench.run(login, { input: 'wrong\n', env })
  assert.deepEqual([code, out], [6, ''])
  assert.match(err, /^tintype: [^\n]* refuses this login: check the user name and the password\.\n$/)
  assert.deepEqual(JSON.parse(readFileSync(`${bench.root}/wrong/config.json`, 'utf8')).auths, {
    [registry.host]: { auth },
  })
})

test('a Docker configuration that is no JSON is named, and not touched', async () => {
  const env = dockerConfig('broken', '{"auths": ')
  const says = /The Docker configuration \S+\/broken\/config\.json is not valid JSON: repair it/
  await bench.refuses(snapshotTo(registry.host), { exitCode: 2, code: 'config_invalid', says }, { env })
  assert.equal(readFileSync(`${bench.root}/broken/config.json`, 'utf8'), '{"auths": ')
})

test('a registry that is down', async () => {
  await registry.halt()
  const says = new RegExp(`${registry.host} cannot be reached: nothing listens there`)
  await bench.refuses(snapshotTo(registry.host), { exitCode: 6, code: 'registry_unavailable', says })
  await registry.restart()
})

const isUpload = ({ method, path }: Seen) => method !== 'GET' && method !== 'HEAD' && path.includes('/blobs/uploads/')
const isManifest = ({ method, path }: Seen) => method === 'PUT' && path.includes('/manifests/')
const full: Answer = {
  status: 507,
  body: JSON.stringify({ errors: [{ code: 'UNKNOWN', message: 'no space left on device' }] }),
}
const broken: Answer = { status: 500, body: '<html>Internal Server Error</html>' }
const REGISTRIES: readonly (readonly [reason: string, when: (seen: Seen) => boolean, answer: Answer, says: RegExp])[] =
  [
    ['a registry that is full', isUpload, full, /could not .* \(507 .*"no space left on device"\): try again later/],
    ['a registry that answers 500 to layers', isUpload, broken, /could not .* \(500\): try again later/],
    ['a registry that answers 500 to the manifest', isManifest, broken, /could not .* \(500\): try again later/],
  ]
// All at once, each with a container of its own: what they do most is to wait before they try again.
describe('a registry that takes no image leaves no tag, and the container goes on', { concurrency: true }, () => {
  for (const [reason, when, answer, says] of REGISTRIES)
    test(reason, async () => {
      await using own = await openBench(engine)
      await using fake = await startFakeRegistry({ before: (seen) => (when(seen) ? answer : undefined) })
      const args = ['snapshot', own.boxName, `${fake.host}/team/box:v1`]
      await own.refusesAlone(args, { exitCode: 6, code: 'registry_unavailable', says })
      assert.deepEqual([...fake.manifests.keys()], [])
    })
})

test('what a registry wants its users to read is among the warnings', async () => {
  await using fake = await startFakeRegistry({
    after: (_, answer) => ({ ...answer, headers: { ...answer.headers, warning: '299 - "team/box moves in May."' } }),
  })
  const args = ['snapshot', bench.boxName, `${fake.host}/team/box:v1`, '--json', '--quiet']
  const { code, out, err } = await bench.run(args)
  assert.deepEqual([code, err], [0, ''])
  assert.ok(JSON.parse(out).warnings.includes(`${fake.host} says: team/box moves in May.`), out)
})
