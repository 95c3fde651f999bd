/**
 * Whom a registry may send us to. What a registry answers (redirects, upload locations, token realms) is hostile input:
 * CVE-2020-15157 (containerd) and go-containerregistry#2259 are clients that followed it anywhere, with credentials.
 */
import { BlockList, isIP } from 'node:net'
import { AppError } from '#base/errors.ts'

export type AddressClass = 'public' | 'private' | 'refused'

/** Link-local, multicast, and where clouds keep their instances' credentials: no registry is there. */
const REFUSED = blockList(
  ['169.254.0.0/16', 'fe80::/10', '224.0.0.0/4', 'ff00::/8', '255.255.255.255/32'],
  ['100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32'], // Alibaba Cloud, Azure, Oracle
  ['fd00:ec2::254/128', 'fd20:ce::254/128', 'fd00:c1::a9fe:a9fe/128', 'fd00:42::42/128'], // AWS, Google, Oracle, Scaleway
)
/** IANA's special-purpose registries: not reachable from everywhere, so inside of something. Tunnels (6to4, Teredo) hide what is inside. */
const PRIVATE = blockList(
  ['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.0.0.0/24', '192.168.0.0/16'],
  ['198.18.0.0/15', '240.0.0.0/4', '::/96', 'fc00::/7', 'fec0::/10', '64:ff9b:1::/48', '2001::/32', '2002::/16'],
)

function blockList(...groups: readonly (readonly string[])[]): BlockList {
  const list = new BlockList()
  for (const range of groups.flat()) {
    const [network = '', bits] = range.split('/')
    list.addSubnet(network, Number(bits), isIP(network) === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

/** What kind of address this is; an IPv4 address inside an IPv6 one (mapped, NAT64) counts as itself. */
export function classifyAddress(address: string): AddressClass {
  const bare = address.replace(/^\[|\]$|%.*$/g, '')
  const version = isIP(bare)
  if (version === 0) return 'refused'
  const inner = version === 6 ? embeddedIPv4(bare) : undefined
  const [plain, family] = inner
    ? [inner, 'ipv4' as const]
    : [bare, version === 4 ? ('ipv4' as const) : ('ipv6' as const)]
  if (REFUSED.check(plain, family)) return 'refused'
  return PRIVATE.check(plain, family) ? 'private' : 'public'
}

function embeddedIPv4(address: string): string | undefined {
  const canonical = new URL(`http://[${address}]/`).hostname
  const match = /^\[(?:::ffff:|64:ff9b::)(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})\]$/.exec(canonical)
  if (!match) return undefined
  const [high, low] = [Number.parseInt(match[1] ?? '0', 16), Number.parseInt(match[2] ?? '0', 16)]
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

export interface AddressGuardOptions {
  /** Host name of the registry, without port. */
  readonly registryHost: string
  /** true: private addresses always; false: never; else only while the registry itself is private. */
  readonly allowPrivate?: boolean | undefined
  readonly trustedHosts: readonly string[]
}

/**
 * A function that keeps those addresses of a host that may be connected to. What the registry is (private or public) is
 * decided when it is first seen and stays: a name that changes from a public address to a private one is refused
 * (DNS rebinding). The function throws `registry_untrusted` when no address is left.
 */
export function addressGuard(options: AddressGuardOptions): (host: string, addresses: readonly string[]) => string[] {
  let registryIsPrivate: boolean | undefined
  return (host, addresses) => {
    const classes = new Map(addresses.map((address) => [address, classifyAddress(address)]))
    if (host === options.registryHost) registryIsPrivate ??= [...classes.values()].includes('private')
    const listed = options.trustedHosts.some((entry) => matchesEntry(entry.replace(/:\d+$/, ''), host, ''))
    const privateAllowed = options.allowPrivate ?? (registryIsPrivate === true || listed)
    const kept = addresses.filter(
      (address) => classes.get(address) === 'public' || (privateAllowed && classes.get(address) === 'private'),
    )
    if (kept.length === 0 && addresses.length > 0) throw addressRefused(host, addresses, options.registryHost)
    return kept
  }
}

function addressRefused(host: string, addresses: readonly string[], registry: string): AppError {
  const isPrivate = addresses.some((address) => classifyAddress(address) === 'private')
  const why = isPrivate
    ? `a private address, which a public registry must not send us to: list ${host} in TINTYPE_TRUSTED_HOSTS if that is wanted`
    : 'a link-local or metadata address, which is never connected to'
  return new AppError('registry_untrusted', `${host} is at ${addresses.join(', ')}, ${why}.`, {
    details: { host, registry, addresses },
  })
}

/** Hosts of big registries that are on another domain than the registry. */
const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  'registry-1.docker.io': ['auth.docker.io', 'production.cloudflare.docker.com'],
}

export interface TrustOptions {
  /** Scheme, host and port that the registry is spoken to at. */
  readonly registry: URL
  /** `host`, `host:port`, or `*.domain`. */
  readonly trustedHosts: readonly string[]
}

/**
 * Refuses a URL that the registry sent us to. A `download` (its digest is checked, it is sent no credentials) may be on any
 * https host; everything else must be on the registry's host, its registrable domain, or a listed host, and over https
 * unless the registry itself is plain HTTP (design.md §4.6). Throws `registry_untrusted`.
 */
export function checkUrl(url: URL, use: 'registry' | 'token' | 'download', options: TrustOptions): void {
  const { registry } = options
  const refuse = (why: string) => {
    throw new AppError('registry_untrusted', `The registry ${registry.host} points to ${url.origin}, ${why}.`, {
      details: { registry: registry.host, host: url.host, use },
    })
  }
  if (url.username !== '' || url.password !== '') refuse('with a user name in the address: that is refused')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && registry.protocol === 'http:'))
    refuse('which is not https: set X-Forwarded-Proto in the proxy before the registry')
  if (use === 'download' && url.protocol === 'https:') return
  if (sameSite(url.hostname, registry.hostname)) return
  const listed = [...options.trustedHosts, ...(BUILT_IN[registry.hostname] ?? [])]
  if (!listed.some((entry) => matchesEntry(entry, url.hostname, url.port)))
    refuse('which is another site: list that host in TINTYPE_TRUSTED_HOSTS if that is wanted')
}

function matchesEntry(entry: string, hostname: string, port: string): boolean {
  const isSame = (name: string) => (entry.startsWith('*.') ? name.endsWith(entry.slice(1)) : entry === name)
  return isSame(hostname) || (port !== '' && isSame(`${hostname}:${port}`))
}

/**
 * Whether two hosts are one site: the same host, or names with the same registrable domain. That is the last two labels,
 * three below a country's general suffixes (`co.uk`, `com.cn`). Addresses and single labels must be equal. The public
 * suffix list would know more, but it changes weekly; where this rule is too narrow, a host can be listed.
 */
export function sameSite(a: string, b: string): boolean {
  return a === b || (registrableDomain(a) !== undefined && registrableDomain(a) === registrableDomain(b))
}

function registrableDomain(hostname: string): string | undefined {
  if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) return undefined
  const labels = hostname.replace(/\.$/, '').split('.')
  const suffix = labels.slice(-2).join('.')
  const count = /^(?:ac|co|com|edu|go|gob|gov|mil|ne|net|nom|or|org)\.[a-z]{2}$/.test(suffix) ? 3 : 2
  return labels.length < count || labels.length < 2 ? undefined : labels.slice(-count).join('.')
}

/** `location` against the URL that answered it. A plain-HTTP address of an https registry's own host is read as https: proxies lose the scheme. Throws `registry_refused`. */
export function resolveLocation(location: string, answeredBy: URL, registry: URL): URL {
  if (!URL.canParse(location, answeredBy))
    throw new AppError('registry_refused', `The registry ${registry.host} answered an unreadable address.`)
  const url = new URL(location, answeredBy)
  const isOwnHost = url.hostname === registry.hostname && (url.port === '' || url.port === registry.port)
  if (registry.protocol !== 'https:' || url.protocol !== 'http:' || !isOwnHost) return url
  return new URL(url.pathname + url.search, registry)
}
