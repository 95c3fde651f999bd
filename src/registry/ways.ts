/** How a host is connected to: directly and only at addresses that are permitted, or through a proxy; one agent for each way. */
import { lookup as dnsLookup } from 'node:dns/promises'
import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import type { LookupFunction } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSecureContext, getCACertificates } from 'node:tls'
import type { SecureContext } from 'node:tls'
import { proxyFor, type Proxies } from '#config/proxies.ts'

export type Lookup = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>

export interface WayOptions {
  /** Which of a host's addresses may be connected to; see trust.ts. */
  readonly guard: (host: string, addresses: readonly string[]) => string[]
  readonly lookup?: Lookup | undefined
  readonly proxies?: Proxies | undefined
  readonly insecureTls?: boolean | undefined
  /** PEM, beside Node's and the system's roots. */
  readonly ca?: string | undefined
}

/** What `http.request` needs to get to a host. */
export interface Way {
  readonly agent: http.Agent
  readonly lookup: LookupFunction
  /** Absent: the host itself is connected to. */
  readonly proxy?: URL
}

/** A host behind a proxy is often in no name server that we can ask; waiting for that must not delay the rest. */
const LOOK_HERE_MS = 2_000
/** Some registries never close an idle connection, and a server opens many clients. A request sets a limit of its own. */
const KEPT = { keepAlive: true, timeout: 30_000 }

/** Ways with connections of their own; idle ones do not keep the process alive. */
export function openWays(options: WayOptions): { to(url: URL): Promise<Way> } {
  const resolve: Lookup = options.lookup ?? ((host) => dnsLookup(host, { all: true }))
  const lookup = guardedLookup(options, resolve)
  const agents = new Map<string, http.Agent>()
  const looked = new Map<string, Promise<void>>()
  const agentFor = ({ protocol }: URL, proxy: URL | undefined) => {
    const key = `${protocol} ${proxy?.href}`
    const agent = agents.get(key) ?? (protocol === 'https:' ? secureAgent(options, proxy) : plainAgent(proxy))
    agents.set(key, agent)
    return agent
  }
  return {
    async to(url) {
      const address = url.hostname.replace(/^\[|\]$/g, '')
      const isAddress = isIP(address) !== 0
      if (isAddress) options.guard(url.hostname, [address]) // Node asks no lookup for an address
      const proxy = proxyFor(url, options.proxies)
      const way = { agent: agentFor(url, proxy), lookup }
      if (!proxy) return way
      if (!isAddress) {
        const looking = looked.get(address) ?? lookHere(address, options, resolve)
        looked.set(address, looking)
        await looking
      }
      return { ...way, proxy }
    },
  }
}

/** The proxy looks a name up by itself. What can be looked up here is held to the same rule; the rest is left to the proxy. */
async function lookHere(host: string, { guard }: WayOptions, resolve: Lookup): Promise<void> {
  const late = new AbortController()
  const found = resolve(host).catch(() => [])
  const nothing = sleep(LOOK_HERE_MS, [], { signal: late.signal }).catch(() => [])
  const addresses = await Promise.race([found, nothing])
  late.abort()
  guard(
    host,
    addresses.map(({ address }) => address),
  )
}

const plainAgent = (proxy: URL | undefined) =>
  new http.Agent({ ...KEPT, ...(proxy && { proxyEnv: { HTTP_PROXY: proxy.href } }) })

// As the engines do: a company's CA is in the system's store. Node's `ca` replaces its own roots, so they are named too.
const systemRoots = () => [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
let systemContext: SecureContext | undefined

// Reading hundreds of roots takes 50 ms and more: one context for all connections, and none where nothing is checked.
function secureAgent({ ca, insecureTls }: WayOptions, proxy?: URL): https.Agent {
  const proxied = proxy && { proxyEnv: { HTTPS_PROXY: proxy.href } }
  if (insecureTls)
    return new https.Agent({
      ...KEPT,
      ...proxied,
      secureContext: createSecureContext({ ca: [] }),
      rejectUnauthorized: false,
    })
  const secureContext =
    ca === undefined
      ? (systemContext ??= createSecureContext({ ca: systemRoots() }))
      : createSecureContext({ ca: [...systemRoots(), ca] })
  return new https.Agent({ ...KEPT, ...proxied, secureContext })
}

// The addresses that are checked are the ones that are connected to: a second lookup could give others (rebinding).
function guardedLookup(options: WayOptions, resolve: Lookup): LookupFunction {
  return (host, { all }, callback) => {
    const permitted = resolve(host).then((found) => {
      const kept = new Set(
        options.guard(
          host,
          found.map(({ address }) => address),
        ),
      )
      return found.filter(({ address }) => kept.has(address))
    })
    permitted.then(
      (found) => {
        if (all) callback(null, [...found])
        else callback(null, found[0]?.address ?? '', found[0]?.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    )
  }
}
