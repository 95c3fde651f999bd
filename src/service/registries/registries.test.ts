import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import type { AllowedRegistry } from '#config/values.ts'
import { startRegistry } from '#lab/registry.ts'
import { forEachStore } from '#lab/stores.ts'
import type { OpenTestStore } from '#lab/stores.ts'
import { openRegistries } from './registries.ts'

const CONFIGURED = [
  { host: 'registry.example.com', plainHttp: false },
  { host: '10.0.0.5:5000', plainHttp: true },
] as const
const LOGIN = { userName: 'ann', password: 'a secret' }

async function setUp(open: OpenTestStore, configured?: readonly AllowedRegistry[]) {
  const store = await open()
  const addresses: Record<string, readonly string[]> = {
    'public.example.com': ['93.184.216.34'],
    'inside.example.com': ['93.184.216.34', '10.1.2.3'],
    'rebound.example.com': ['169.254.169.254'],
  }
  const registries = openRegistries({
    table: store.registries,
    secrets: store.secrets,
    clock: systemClock,
    ...(configured && { configured }),
    lookup: async (host) => addresses[host] ?? Promise.reject(new Error('ENOTFOUND')),
  })
  return { store, registries }
}

const ALLOWED: readonly (readonly [string, readonly AllowedRegistry[] | undefined, string, boolean])[] = [
  ['one of the list', CONFIGURED, 'registry.example.com', true],
  ['one of the list in capitals', CONFIGURED, 'Registry.Example.com', true],
  ['one of the list on another port', CONFIGURED, 'registry.example.com:5000', false],
  ['one below one of the list', CONFIGURED, 'evil.registry.example.com', false],
  ['one that ends like one of the list', CONFIGURED, 'evilregistry.example.com', false],
  ['loopback beside a list', CONFIGURED, '127.0.0.1:5000', false],
  ['loopback without a list', undefined, '127.0.0.1:5000', true],
  ['localhost without a list', undefined, 'localhost:5000', true],
  ['another without a list', undefined, 'registry.example.com', false],
  ['Docker Hub by its other name', [{ host: 'docker.io', plainHttp: false }], 'index.docker.io', true],
]

const REFUSED: readonly (readonly [string, string, string])[] = [
  ['a metadata service', '169.254.169.254', 'parameter_invalid'],
  ['a name at a metadata service', 'rebound.example.com', 'parameter_invalid'],
  ['a metadata service as IPv6', '[fd00:ec2::254]:443', 'parameter_invalid'],
  ['a metadata service in IPv6 clothes', '[::ffff:169.254.169.254]', 'parameter_invalid'],
  ['a private address', '192.168.1.1:5000', 'registry_not_allowed'],
  ['a name with a private address', 'inside.example.com', 'registry_not_allowed'],
  ['loopback beside a list', '127.0.0.1:5000', 'registry_not_allowed'],
  ['a bare word', 'registry', 'parameter_invalid'],
  ['a path', 'registry.example.com/team', 'parameter_invalid'],
  ['a scheme', 'https://registry.example.com', 'parameter_invalid'],
  ['a user name', 'ann@registry.example.com', 'parameter_invalid'],
]

forEachStore('registries of the server', (open) => {
  test('where it may push', async () => {
    for (const [reason, configured, host, isAllowed] of ALLOWED) {
      const { registries } = await setUp(open, configured)
      if (isAllowed) await registries.accessTo(host)
      else await assert.rejects(registries.accessTo(host), { code: 'registry_not_allowed', message: /TINTYPE_REGISTRIES/ }, reason) // prettier-ignore
    }
  })

  test('what may not be registered', async () => {
    const { registries } = await setUp(open, CONFIGURED)
    for (const [reason, host, code] of REFUSED)
      await assert.rejects(registries.create(host, LOGIN), { code, message: /^Host/ }, reason)
    assert.deepEqual(await registries.list(), [])
    await registries.create('10.0.0.5:5000', {})
    assert.deepEqual(await registries.accessTo('10.0.0.5:5000'), { host: '10.0.0.5:5000', plainHttp: true })
  })

  test('credentials are used and never shown: not in a list, not in the database', async () => {
    const { registries, store } = await setUp(open, CONFIGURED)
    await registries.create('public.example.com', LOGIN)
    await assert.rejects(registries.create('Public.example.com', LOGIN), { code: 'name_taken' })
    const login = { username: 'ann', password: 'a secret' }
    assert.deepEqual(await registries.accessTo('public.example.com'), {
      host: 'public.example.com',
      allowPrivate: false,
      login,
    })
    const [view] = await registries.list()
    assert.deepEqual([view?.host, view?.hasCredentials, view?.plainHttp], ['public.example.com', true, false])
    const kept = JSON.stringify([view, await store.registries.list()])
    assert.doesNotMatch(kept, /secret|ann/)
    const all = await registries.all()
    assert.deepEqual(all.map(({ host }) => host), ['10.0.0.5:5000', 'public.example.com', 'registry.example.com']) // prettier-ignore
  })

  test('a registry is changed: what is left out stays, empty credentials go', async () => {
    const { registries } = await setUp(open, CONFIGURED)
    await registries.create('public.example.com', LOGIN)
    await registries.update('public.example.com', { plainHttp: true })
    assert.equal((await registries.accessTo('public.example.com')).login?.password, 'a secret')
    for (const half of [
      { userName: 'ann' },
      { password: 'x' },
      { userName: '', password: 'x' },
      { userName: 'a:b', password: 'x' },
    ])
      // prettier-ignore
      await assert.rejects(registries.update('public.example.com', half), { code: 'parameter_invalid' })
    await registries.update('public.example.com', { userName: '', password: '' })
    assert.deepEqual(await registries.accessTo('public.example.com'), {
      host: 'public.example.com',
      plainHttp: true,
      allowPrivate: false,
    })
    await registries.delete('public.example.com')
    for (const call of [
      () => registries.delete('public.example.com'),
      () => registries.update('public.example.com', {}),
    ])
      await assert.rejects(call, { code: 'registry_not_found' })
    await assert.rejects(registries.test('public.example.com'), { code: 'registry_not_allowed' })
  })
})

forEachStore('a registry is tested', (open) => {
  test('with the right password, a wrong one, and when it is down', async () => {
    await using registry = await startRegistry({ users: { ann: 'a secret' } })
    const { registries } = await setUp(open)
    await registries.create(registry.host, LOGIN)
    assert.deepEqual(await registries.test(registry.host), { reachable: true, authenticated: true, message: `${registry.host} takes the credentials.` }) // prettier-ignore
    await registries.update(registry.host, { userName: 'ann', password: 'wrong' })
    const wrong = await registries.test(registry.host)
    assert.deepEqual([wrong.reachable, wrong.authenticated], [true, false])
    assert.doesNotMatch(wrong.message, /wrong$/)
    await registry.halt()
    const down = await registries.test(registry.host)
    assert.deepEqual([down.reachable, down.authenticated], [false, false])
  })
})
