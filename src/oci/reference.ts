import { isIPv6 } from 'node:net'
import { AppError } from '#base/errors.ts'
import { parseDigest } from './digest.ts'
import type { Digest } from './digest.ts'

/** Where an image is: registry / repository : tag @ digest. No tag is ever added; whoever needs one decides which. */
export interface Reference {
  /** Host and, where given, port: `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly registry: string
  /** `library/python`. */
  readonly repository: string
  readonly tag?: string
  readonly digest?: Digest
}

const DOCKER_HUB = 'docker.io'
/** The names of one registry. */
const DOCKER_HUBS: ReadonlySet<string> = new Set([DOCKER_HUB, 'index.docker.io', 'registry-1.docker.io'])
const REPOSITORY_LIMIT = 255 // distribution/reference: of the repository alone, in bytes
const HOST_LIMIT = 253 // RFC 1035 § 2.3.4, as text
const HOST = /^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*$/
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const IMAGE_ID = /^[0-9a-f]{64}$/

/**
 * `text` as a reference, by the grammar of distribution/reference: `python` is `docker.io/library/python`.
 * Throws `reference_invalid`, saying which part is wrong.
 */
export function parseReference(text: string): Reference {
  const refuse = (why: string): never => {
    throw new AppError('reference_invalid', `${JSON.stringify(text.slice(0, 300))} is not an image reference: ${why}.`)
  }
  if (text === '') refuse('it is empty')
  if (IMAGE_ID.test(text)) refuse('64 hex digits are an image id; write REPOSITORY:TAG')
  const at = text.indexOf('@')
  const [registry, rest] = splitRegistry(at < 0 ? text : text.slice(0, at))
  checkRegistry(registry, refuse)

  const colon = rest.indexOf(':')
  const tag = colon < 0 ? undefined : rest.slice(colon + 1)
  if (tag !== undefined && !TAG.test(tag)) {
    refuse('the tag must be 1 to 128 letters, digits, "_", "." or "-", and must not begin with "." or "-"')
  }
  const name = colon < 0 ? rest : rest.slice(0, colon)
  const repository = registry === DOCKER_HUB && !name.includes('/') ? `library/${name}` : name
  checkRepository(name, repository, refuse)
  return {
    registry,
    repository,
    ...(tag !== undefined && { tag }),
    ...(at >= 0 && { digest: digestPart(text.slice(at + 1), refuse) }),
  }
}

/** The reference in full: `registry/repository`, then `:tag` and `@digest` where it has them. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${reference.registry}/${reference.repository}${tag}${digest}`
}

/** The first component is a registry if it cannot be a repository's: it has a dot, a colon or a capital, or is localhost. */
function splitRegistry(name: string): [registry: string, rest: string] {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  if (DOCKER_HUBS.has(first.toLowerCase())) return [DOCKER_HUB, name.slice(slash + 1)]
  const isRegistry = slash === 0 || first === 'localhost' || /[.:A-Z]/.test(first)
  return isRegistry ? [first, name.slice(slash + 1)] : [DOCKER_HUB, name]
}

function checkRegistry(registry: string, refuse: (why: string) => never): void {
  const port = /:([^:\]]*)$/.exec(registry)?.[1]
  const host = port === undefined ? registry : registry.slice(0, -port.length - 1)
  if (host === '') refuse('the registry has no host name')
  if (port !== undefined && !(/^[0-9]{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
    refuse('the port of the registry must be a number from 1 to 65535')
  }
  if (host.startsWith('[') || host.includes(':')) {
    // Zones (RFC 6874) and IPv4-mapped forms are not in the grammar.
    if (!/^\[[0-9a-fA-F:]+\]$/.test(host) || !isIPv6(host.slice(1, -1))) {
      refuse('an IPv6 address of a registry must be valid and in brackets, like [::1]:5000')
    }
  } else if (!HOST.test(host)) {
    refuse('the host name of the registry may hold letters, digits, "-" and "." only')
  }
  if (host.length > HOST_LIMIT) refuse(`the host name of the registry is longer than ${HOST_LIMIT} characters`)
}

function checkRepository(name: string, repository: string, refuse: (why: string) => never): void {
  if (name === '') refuse('the repository is missing')
  if (/[A-Z]/.test(name)) refuse('the repository must be in lower case')
  for (const component of name.split('/')) {
    if (component === '') refuse('the repository has an empty part between slashes')
    if (COMPONENT.test(component)) continue
    refuse('each part of the repository must be lower-case letters and digits, joined by ".", "_", "__" or dashes')
  }
  if (repository.length > REPOSITORY_LIMIT) refuse(`the repository is longer than ${REPOSITORY_LIMIT} characters`)
}

function digestPart(text: string, refuse: (why: string) => never): Digest {
  try {
    return parseDigest(text)
  } catch {
    return refuse('the digest after "@" must be sha256: and 64 lower-case hex digits')
  }
}
