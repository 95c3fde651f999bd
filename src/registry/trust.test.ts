import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addressGuard, checkUrl, classifyAddress, resolveLocation, sameSite } from './trust.ts'
import type { AddressClass } from './trust.ts'

const ADDRESSES: readonly (readonly [string, AddressClass, string])[] = [
  ['8.8.8.8', 'public', 'an ordinary address'],
  ['2606:4700::6810:84e5', 'public', 'an ordinary IPv6 address'],
  ['169.254.169.254', 'refused', 'metadata of most clouds'],
  ['169.254.0.1', 'refused', 'link-local'],
  ['fe80::1', 'refused', 'link-local, IPv6'],
  ['fe80::1%eth0', 'refused', 'link-local with its zone'],
  ['[fe80::1]', 'refused', 'link-local as a URL has it'],
  ['fd00:ec2::254', 'refused', 'metadata of AWS, IPv6'],
  ['fd20:ce::254', 'refused', 'metadata of Google, IPv6'],
  ['100.100.100.200', 'refused', 'metadata of Alibaba Cloud'],
  ['168.63.129.16', 'refused', 'metadata of Azure'],
  ['224.0.0.1', 'refused', 'multicast'],
  ['::ffff:169.254.169.254', 'refused', 'metadata as a mapped address'],
  ['::ffff:a9fe:a9fe', 'refused', 'the same in hex'],
  ['64:ff9b::169.254.169.254', 'refused', 'metadata through NAT64'],
  ['64:ff9b::808:808', 'public', 'an ordinary address through NAT64'],
  ['64:ff9b::7f00:1', 'private', 'loopback through NAT64'],
  ['127.0.0.1', 'private', 'loopback'],
  ['127.8.9.10', 'private', 'loopback, all of it'],
  ['0.0.0.0', 'private', 'any address connects to this host'],
  ['::', 'private', 'the same, IPv6'],
  ['::1', 'private', 'loopback, IPv6'],
  ['::ffff:10.0.0.1', 'private', 'a mapped private address'],
  ['10.1.2.3', 'private', 'RFC 1918'],
  ['172.31.255.255', 'private', 'RFC 1918, the last of 172.16/12'],
  ['172.32.0.0', 'public', 'the first after 172.16/12'],
  ['192.168.1.1', 'private', 'RFC 1918'],
  ['100.64.0.1', 'private', 'shared address space'],
  ['100.128.0.1', 'public', 'the first after the shared space'],
  ['fd12::1', 'private', 'unique local'],
  ['2002:a00:1::', 'private', '6to4 hides what is inside'],
  ['registry.example.com', 'refused', 'no address at all'],
]

for (const [address, expected, why] of ADDRESSES)
  test(`${address} is ${expected}: ${why}`, () => assert.equal(classifyAddress(address), expected))

test('an IPv4 address is what it is in each of its IPv6 forms', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      assert.equal(classifyAddress(`::ffff:${address}`), classifyAddress(address))
      assert.equal(classifyAddress(`64:ff9b::${address}`), classifyAddress(address))
    }),
  )
})

test('whatever a registry says, link-local is never connected to', () => {
  const guard = addressGuard({
    registryHost: 'registry.example.com',
    trustedHosts: ['evil.example.com'],
    allowPrivate: true,
  })
  assert.throws(() => guard('registry.example.com', ['169.254.169.254']), {
    code: 'registry_untrusted',
    message: /never/,
  })
  assert.throws(() => guard('evil.example.com', ['fe80::1']), { code: 'registry_untrusted' })
  assert.deepEqual(guard('registry.example.com', ['fe80::1', '8.8.8.8']), ['8.8.8.8'], 'nss-myhostname adds such')
})

test('a public registry may not send us to a private address; a private one may', () => {
  const publicGuard = addressGuard({ registryHost: 'registry.example.com', trustedHosts: [] })
  assert.deepEqual(publicGuard('registry.example.com', ['8.8.8.8']), ['8.8.8.8'])
  assert.throws(() => publicGuard('auth.example.com', ['10.0.0.1']), { code: 'registry_untrusted', message: /private/ })
  assert.throws(() => publicGuard('127.0.0.1', ['127.0.0.1']), { code: 'registry_untrusted' })
  assert.deepEqual(publicGuard('auth.example.com', ['10.0.0.1', '8.8.4.4']), ['8.8.4.4'])
  const privateGuard = addressGuard({ registryHost: 'registry.example.com', trustedHosts: [] })
  assert.deepEqual(privateGuard('registry.example.com', ['10.0.0.2']), ['10.0.0.2'])
  assert.deepEqual(privateGuard('auth.example.com', ['10.0.0.1']), ['10.0.0.1'])
})

test('a registry that was public and turns private is refused: DNS rebinding', () => {
  const guard = addressGuard({ registryHost: 'registry.example.com', trustedHosts: [] })
  guard('registry.example.com', ['8.8.8.8'])
  assert.throws(() => guard('registry.example.com', ['127.0.0.1']), { code: 'registry_untrusted' })
})

test('another host that is asked for before the registry was seen gets no private address', () => {
  const guard = addressGuard({ registryHost: 'registry.example.com', trustedHosts: [] })
  assert.throws(() => guard('auth.example.com', ['10.0.0.1']), { code: 'registry_untrusted' })
})

test('private addresses can be allowed for a listed host or for all, and forbidden for the registry too', () => {
  const listed = addressGuard({ registryHost: 'registry.example.com', trustedHosts: ['auth.corp', '*.corp:9000'] })
  listed('registry.example.com', ['8.8.8.8'])
  assert.deepEqual(listed('auth.corp', ['10.0.0.1']), ['10.0.0.1'])
  assert.deepEqual(listed('store.corp', ['10.0.0.2']), ['10.0.0.2'], 'the entry has a port')
  const all = addressGuard({ registryHost: 'registry.example.com', trustedHosts: [], allowPrivate: true })
  all('registry.example.com', ['8.8.8.8'])
  assert.deepEqual(all('auth.example.com', ['10.0.0.1']), ['10.0.0.1'])
  const none = addressGuard({ registryHost: 'registry.example.com', trustedHosts: [], allowPrivate: false })
  assert.throws(() => none('registry.example.com', ['127.0.0.1']), { code: 'registry_untrusted' })
})

const SITES: readonly (readonly [string, string, boolean])[] = [
  ['registry.example.com', 'registry.example.com', true],
  ['registry.example.com', 'auth.example.com', true],
  ['registry.gitlab.com', 'gitlab.com', true],
  ['registry-1.docker.io', 'auth.docker.io', true],
  ['registry.cn-hangzhou.aliyuncs.com', 'dockerauth.cn-hangzhou.aliyuncs.com', true],
  ['registry.example.com', 'example.org', false],
  ['registry.example.com', 'evilexample.com', false],
  ['registry.example.com', 'com', false],
  ['registry.example.co.uk', 'auth.example.co.uk', true],
  ['registry.example.co.uk', 'evil.co.uk', false],
  ['a.com.cn', 'b.com.cn', false],
  ['registry', 'registry', true],
  ['registry', 'auth', false],
  ['localhost', '127.0.0.1', false],
  ['10.0.0.1', '10.0.0.1', true],
  ['1.0.0.1', '2.0.0.1', false],
  ['[::1]', '[::1]', true],
  ['[fd00::1]', '[fd00::2]', false],
]

for (const [a, b, expected] of SITES)
  test(`${a} and ${b} are ${expected ? 'one site' : 'two sites'}`, () => {
    assert.equal(sameSite(a, b), expected)
    assert.equal(sameSite(b, a), expected)
  })

const secure = {
  registry: new URL('https://registry.example.com/'),
  trustedHosts: ['cdn.other.net', '*.wild.net', 'port.net:8443'],
}
const plain = { registry: new URL('http://10.0.0.1:5000/'), trustedHosts: [] }

const PERMITTED = [
  ['https://auth.example.com/token', 'token', secure],
  ['https://registry.example.com:8443/v2/', 'registry', secure],
  ['https://cdn.other.net/x', 'registry', secure],
  ['https://a.wild.net/x', 'registry', secure],
  ['https://port.net:8443/x', 'token', secure],
  ['https://bucket.s3.amazonaws.com/x?X-Amz-Signature=1', 'download', secure],
  ['http://10.0.0.1:5001/token', 'token', plain],
  ['https://10.0.0.1/token', 'token', plain],
] as const

for (const [url, use, options] of PERMITTED)
  test(`${options.registry.host} may send a ${use} to ${url}`, () => checkUrl(new URL(url), use, options))

const FORBIDDEN = [
  ['http://registry.example.com/v2/', 'registry', secure, /not https: set X-Forwarded-Proto/],
  ['https://evil.net/token', 'token', secure, /another site/],
  ['https://evil.net/v2/', 'registry', secure, /another site/],
  ['https://wild.net/x', 'registry', secure, /another site/],
  ['https://port.net/x', 'registry', secure, /another site/],
  ['http://bucket.s3.amazonaws.com/x', 'download', secure, /not https/],
  ['https://user:password@registry.example.com/', 'registry', secure, /user name/],
  ['ftp://registry.example.com/', 'registry', secure, /not https/],
  ['file:///etc/passwd', 'download', plain, /not https/],
  ['http://10.0.0.2/token', 'token', plain, /another site/],
  ['http://169.254.169.254/latest', 'download', plain, /another site/],
] as const

for (const [url, use, options, message] of FORBIDDEN)
  test(`${options.registry.host} may not send a ${use} to ${url}`, () => {
    assert.throws(() => checkUrl(new URL(url), use, options), { code: 'registry_untrusted', message })
  })

test('a refusal does not repeat a signed address', () => {
  const url = new URL('https://evil.net/x?signature=secret')
  assert.throws(
    () => checkUrl(url, 'registry', secure),
    (error: Error) => !/secret/.test(JSON.stringify(error) + error.message),
  )
})

const LOCATIONS = [
  ['/v2/x?a=b', 'https://registry.example.com/v2/x?a=b', 'relative to the host'],
  ['./y', 'https://registry.example.com/v2/y', 'relative to the path'],
  ['https://other.net/z', 'https://other.net/z', 'absolute'],
  ['http://registry.example.com/z?a=%20b', 'https://registry.example.com/z?a=%20b', 'a proxy lost the scheme'],
  ['http://registry.example.com:8080/z', 'http://registry.example.com:8080/z', 'another port is another service'],
  ['//other.net/z', 'https://other.net/z', 'without a scheme'],
] as const

for (const [location, expected, why] of LOCATIONS)
  test(`Location ${location}: ${why}`, () => {
    const base = new URL('https://registry.example.com/v2/uploads')
    assert.equal(resolveLocation(location, base, secure.registry).href, expected)
  })

test('a Location that is no address is refused', () => {
  assert.throws(() => resolveLocation('http://[', secure.registry, secure.registry), { code: 'registry_refused' })
})
