/** Registries behind a proxy: Squid, which knows names that this machine does not, before distribution. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, test } from 'node:test'
import { growingBlob } from '#lab/blobs.ts'
import { startProxy } from '#lab/proxy.ts'
import { makeCertificate, startRegistry } from '#lab/registry.ts'
import { openRegistryRepository, type RegistryOptions } from '#registry/registry.ts'

const directory = mkdtempSync(`${tmpdir()}/tintype-proxy-`)
after(() => rmSync(directory, { recursive: true }))

/** Nobody but the proxy finds them (RFC 6761 § 6.4). */
const [NAME, OTHER] = ['registry.invalid', 'other.invalid']
const blob = randomBytes(300_000)

const portOf = (host: string) => host.split(':')[1]
const open = (options: Partial<RegistryOptions> & { readonly registry: string }) =>
  openRegistryRepository({ repository: 'team/saved', credentials: async () => undefined, ...options })

/** Push a blob and read it back. */
async function goesThrough(options: Parameters<typeof open>[0]): Promise<void> {
  const repository = open(options)
  const descriptor = await repository.pushBlob(growingBlob(blob))
  const back = Buffer.concat(await Array.fromAsync(await repository.openBlob(descriptor)))
  assert.ok(back.equals(blob))
}

test('plain HTTP goes through the proxy, with its login', async () => {
  await using registry = await startRegistry()
  await using proxy = await startProxy({ names: [NAME], users: { ann: 'pass word' } })
  const host = `${NAME}:${portOf(registry.host)}`
  const proxies = { http: `http://ann:pass%20word@${proxy.host}`, direct: [] }
  await goesThrough({ registry: host, plainHttp: true, proxies })
  assert.match(proxy.log(), new RegExp(`POST http://${host}/v2/team/saved/blobs/uploads/ ann`))
})

test('TLS goes through it by CONNECT: the certificate is that of the registry', async () => {
  const files = await makeCertificate(directory, NAME)
  await using registry = await startRegistry({ tls: files, users: { bob: 'secret' } })
  await using proxy = await startProxy({ names: [NAME, OTHER], users: { ann: 'a' } })
  const port = portOf(registry.host)
  const options = {
    ca: files.certificate,
    credentials: async () => ({ kind: 'basic', username: 'bob', password: 'secret' }) as const,
    proxies: { https: `http://ann:a@${proxy.host}`, direct: [] },
  }
  await goesThrough({ registry: `${NAME}:${port}`, ...options })
  assert.doesNotMatch(proxy.log(), /\/v2\//, 'the proxy sees no request')
  await assert.rejects(open({ registry: `${OTHER}:${port}`, ...options }).resolve('v1'), {
    code: 'registry_unavailable',
    message: /^other\.invalid:\d+ cannot be reached: its certificate is not trusted/,
  })
})

test('what the proxy does not lead to is said, and nothing of its login', async () => {
  await using registry = await startRegistry()
  await using proxy = await startProxy({ names: [NAME], users: { ann: 'secret' } })
  const port = portOf(registry.host)
  const ask = (url: string, plainHttp: boolean) =>
    open({ registry: `${NAME}:${port}`, plainHttp, proxies: { http: url, https: url, direct: [] } }).resolve('v1')
  const says = (sentence: RegExp) => (error: Error) => {
    assert.match(error.message, sentence)
    assert.doesNotMatch(JSON.stringify(error) + error.message, /secret|wrong/)
    return true
  }
  for (const plainHttp of [true, false]) {
    const login = /cannot be reached: the proxy 127\.0\.0\.1:\d+ wants a login: put it into the proxy variable/
    await assert.rejects(ask(`http://${proxy.host}`, plainHttp), says(login))
    await assert.rejects(ask(`http://ann:wrong@${proxy.host}`, plainHttp), says(login))
    const gone =
      /the proxy 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\): check HTTP_PROXY, HTTPS_PROXY and NO_PROXY\.$/
    await assert.rejects(ask('http://ann:secret@127.0.0.1:1', plainHttp), says(gone))
  }
})

test('what NO_PROXY names is reached directly', async () => {
  await using registry = await startRegistry()
  const proxies = { http: 'http://127.0.0.1:1', https: 'http://127.0.0.1:1', direct: [] }
  await goesThrough({ registry: registry.host, proxies }) // this machine is, always
})

test('the rule for addresses holds for what can be looked up here', async () => {
  await using registry = await startRegistry()
  await using proxy = await startProxy({ names: [NAME] })
  const port = portOf(registry.host)
  const proxies = { http: `http://${proxy.host}`, direct: [] }
  const options = { repository: 'team/saved', plainHttp: true, proxies, credentials: async () => undefined }
  const lookup = async () => [{ address: '10.1.2.3', family: 4 }]
  const inside = openRegistryRepository({ ...options, registry: `${NAME}:${port}`, allowPrivate: false }, { lookup })
  await assert.rejects(inside.resolve('v1'), { code: 'registry_untrusted' })
  const metadata = openRegistryRepository({ ...options, registry: '169.254.169.254', allowPrivate: true })
  await assert.rejects(metadata.resolve('v1'), { code: 'registry_untrusted' })
  assert.doesNotMatch(proxy.log(), /\/v2\//, 'the proxy was not asked')
})
