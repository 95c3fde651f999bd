import { BlockList, isIP } from 'node:net'
import { isLoopbackHost } from '#base/loopback.ts'
import { invalidValue, parseList, type RawValue } from './values.ts'

/** The way to registries where a network has no other, by the variables that Docker, Go and curl read. Plain data. */
export interface Proxies {
  /** HTTP_PROXY, as it is written. */
  readonly http?: string
  /** HTTPS_PROXY, as it is written. */
  readonly https?: string
  /** NO_PROXY: host, domain, address or network, each with or without a port; `*`: everything. */
  readonly direct: readonly string[]
}

type Get = <T>(
  key: 'HTTP_PROXY' | 'HTTPS_PROXY' | 'NO_PROXY',
  parse: (field: string, value: RawValue) => T,
) => T | undefined

/** Undefined: no proxy is named. One that cannot be used is refused by `proxyFor`: most runs never ask for it. */
export function readProxies(get: Get): Proxies | undefined {
  const text = (_: string, value: RawValue) => String(value)
  const http = get('HTTP_PROXY', text)
  const https = get('HTTPS_PROXY', text)
  if (http === undefined && https === undefined) return undefined
  const direct = get('NO_PROXY', (_, value) => parseList(value)) ?? []
  return { ...(http !== undefined && { http }), ...(https !== undefined && { https }), direct }
}

/**
 * The proxy that leads to a URL, or undefined when it is reached directly, as Go's `httpproxy` decides: this machine and what
 * NO_PROXY names. Throws `config_invalid` for a proxy that is not spoken to over HTTP.
 */
export function proxyFor(url: URL, proxies: Proxies | undefined): URL | undefined {
  const isSecure = url.protocol === 'https:'
  const written = isSecure ? proxies?.https : proxies?.http
  if (written === undefined || isDirect(url, proxies?.direct ?? [])) return undefined
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(written) ? written : `http://${written}`
  const proxy = URL.canParse(full) ? new URL(full) : undefined
  if (proxy?.hostname && /^https?:$/.test(proxy.protocol)) return proxy
  // It may hold a password, so that it is not repeated.
  throw invalidValue(
    isSecure ? 'HTTPS_PROXY' : 'HTTP_PROXY',
    'the address of an HTTP proxy, such as http://proxy.example.com:3128',
  )
}

function isDirect(url: URL, direct: readonly string[]): boolean {
  if (isLoopbackHost(url.hostname)) return true
  const host = url.hostname.replace(/^\[|\]$|\.$/g, '')
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return direct.some((entry) => matches(entry.toLowerCase(), host, port))
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true
  if (entry.includes('/')) return isInNetwork(entry, host)
  const [, name = entry, only] = /^(\[.*\]|[^:]*):(\d+)$/.exec(entry) ?? []
  if (only !== undefined && only !== port) return false
  const bare = name.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0) return isIP(bare) !== 0 && isInNetwork(`${bare}/${isIP(bare) === 4 ? 32 : 128}`, host)
  const domain = bare.replace(/^\*(?=\.)/, '')
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`)
}

function isInNetwork(network: string, host: string): boolean {
  const [address = '', bits = ''] = network.split('/')
  const longest = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
  if (isIP(host) === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > longest) return false
  const list = new BlockList()
  list.addSubnet(address, Number(bits), familyOf(address))
  return list.check(host, familyOf(host))
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')
