import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig } from './config.ts'
import { proxyFor } from './proxies.ts'

const proxies = { http: 'http://plain.example:3128', https: 'http://secure.example:3128', direct: [] }
const hostFor = (url: string, direct: readonly string[] = []) => proxyFor(new URL(url), { ...proxies, direct })?.host

test('each scheme has its own proxy, and what is on this machine none', () => {
  assert.equal(hostFor('https://registry.example.com/v2/'), 'secure.example:3128')
  assert.equal(hostFor('http://registry.example.com/v2/'), 'plain.example:3128')
  for (const host of ['localhost:5000', '127.0.0.1:5000', '127.9.9.9', '[::1]:5000', 'registry.localhost'])
    assert.equal(hostFor(`http://${host}/`), undefined, host)
  assert.equal(proxyFor(new URL('https://registry.example.com/'), undefined), undefined)
  assert.equal(proxyFor(new URL('https://registry.example.com/'), { http: 'a', direct: [] }), undefined)
})

// As golang.org/x/net/http/httpproxy documents NO_PROXY, which dockerd follows.
for (const [entry, url, isDirect, why] of [
  ['*', 'https://registry.example.com/', true, 'everything'],
  ['example.com', 'https://example.com/', true, 'a name'],
  ['example.com', 'https://registry.example.com/', true, 'and what is below it'],
  ['Example.COM', 'https://registry.example.com/', true, 'in any case'],
  ['example.com', 'https://notexample.com/', false, 'label by label'],
  ['.example.com', 'https://registry.example.com/', true, 'below a domain'],
  ['.example.com', 'https://example.com/', false, 'and not the domain itself'],
  ['*.example.com', 'https://registry.example.com/', true, 'the same, with a star'],
  ['example.com', 'https://registry.example.com./', true, 'a name with its last dot'],
  ['registry:5000', 'https://registry:5000/', true, 'a port'],
  ['registry:5000', 'https://registry/', false, 'no other port'],
  ['registry:443', 'https://registry/', true, 'the port of the scheme'],
  ['registry:80', 'http://registry/', true, 'of each'],
  ['10.1.2.3', 'https://10.1.2.3:5000/', true, 'an address'],
  ['10.1.2.3:5001', 'https://10.1.2.3:5000/', false, 'with a port'],
  ['10.1.2.3', 'https://10.1.2.30/', false, 'the whole address'],
  ['10.1.0.0/16', 'https://10.1.2.3/', true, 'a network'],
  ['10.1.0.0/16', 'https://10.2.2.3/', false, 'not its neighbour'],
  ['10.1.0.0/16', 'https://registry.example.com/', false, 'a name is in no network'],
  ['fd00::/8', 'https://[fd12::1]:5000/', true, 'a network of IPv6'],
  ['[fd12::1]:5000', 'https://[fd12::1]:5000/', true, 'an IPv6 address with a port'],
  ['fd12::1', 'https://[fd12::1]:5000/', true, 'and without'],
  ['10.1.0.0/99', 'https://10.1.2.3/', false, 'what is no network'],
] as const)
  test(`NO_PROXY=${entry}, ${url}: ${why}`, () =>
    assert.equal(
      hostFor(url, ['other.example', entry]),
      isDirect ? undefined : `${url.startsWith('https') ? 'secure' : 'plain'}.example:3128`,
    ))

test('they are read as other programs read them', async () => {
  const { proxies: none } = await readConfig({ NO_PROXY: 'a', HTTPS_PROXY: '' })
  assert.equal(none, undefined)
  const lower = await readConfig({ https_proxy: 'http://p:1', no_proxy: 'a, .b' })
  assert.deepEqual(lower.proxies, { https: 'http://p:1', direct: ['a', '.b'] })
  const both = await readConfig({ HTTP_PROXY: 'http://upper:1', http_proxy: 'http://lower:1' })
  assert.equal(both.proxies?.http, 'http://upper:1')
  assert.equal(
    proxyFor(new URL('http://registry/'), { http: 'proxy.example:3128', direct: [] })?.href,
    'http://proxy.example:3128/',
  )
})

test('one that is no HTTP proxy is refused where it would be used, and its password is not repeated', () => {
  for (const https of ['socks5://user:secret@proxy.example:1080', 'http://', ':3128']) {
    const url = new URL('https://registry.example.com/')
    assert.throws(
      () => proxyFor(url, { https, direct: [] }),
      (error: Error) => {
        assert.match(error.message, /^HTTPS_PROXY must be the address of an HTTP proxy, such as http:\/\//)
        assert.doesNotMatch(error.message, /secret/)
        return true
      },
    )
    assert.equal(proxyFor(new URL('http://127.0.0.1:5000/'), { http: https, direct: [] }), undefined)
  }
})
