import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { AppError } from '#base/errors.ts'
import { classifyAddress } from '#registry/trust.ts'
import { hostnameOf, isConfigured } from './allowed.ts'
import type { RegistriesParts } from './parts.ts'

/** A name server that does not answer must not hold up the call; connections are checked again, each time. */
const LOOKUP_MS = 1_000

/**
 * Refuse a registry at an address that no user may have the server connect to: link-local and metadata services always,
 * private networks unless the configuration names the host. Throws `parameter_invalid`, `registry_not_allowed`.
 */
export async function checkAddresses(host: string, parts: RegistriesParts): Promise<void> {
  const name = hostnameOf(host).replace(/^\[|\]$/g, '')
  const addresses = isIP(name) !== 0 ? [name] : await find(name, parts.lookup ?? systemLookup)
  const classes = addresses.map(classifyAddress)
  if (classes.includes('refused'))
    throw new AppError(
      'parameter_invalid',
      `Host: ${host} is at a link-local or metadata address, where no registry is.`,
      {
        details: { field: 'Host' },
      },
    )
  if (classes.includes('private') && !isConfigured(host, parts))
    throw new AppError(
      'registry_not_allowed',
      `Host: ${host} is at a private address; only TINTYPE_REGISTRIES can allow that.`,
      { details: { field: 'Host' } },
    )
}

async function find(name: string, look: (name: string) => Promise<readonly string[]>): Promise<readonly string[]> {
  const silence = new Promise<readonly string[]>((resolve) => setTimeout(() => resolve([]), LOOKUP_MS).unref())
  return Promise.race([look(name), silence]).catch(() => [])
}

const systemLookup = async (name: string) => (await lookup(name, { all: true })).map(({ address }) => address)
