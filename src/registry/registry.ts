/** A repository in a registry, over the OCI distribution API: the doors of this room, the work is in the files beside. */
import { AppError } from '#base/errors.ts'
import type { Proxies } from '#config/proxies.ts'
import type { Descriptor } from '#oci/descriptor.ts'
import { headBlob, probeBlob, readBlob, takeBlob } from './blobs.ts'
import type { CredentialsOf } from './auth.ts'
import { openClient } from './client.ts'
import { printable } from './failure.ts'
import { readManifest, resolveManifest, writeManifest } from './manifests.ts'
import type { Repository } from './repository.ts'
import { systemPace } from './retry.ts'
import type { Pace } from './retry.ts'
import { freshMemory, type HostMemory } from './strategy.ts'
import { uploadBlob } from './upload.ts'
import type { Lookup } from './ways.ts'

export interface RegistryOptions {
  /** `host` or `host:port`, as users name it: `docker.io`. */
  readonly registry: string
  /** Without registry and tag: `library/python`. */
  readonly repository: string
  readonly credentials: CredentialsOf
  /** Undefined: https, but on loopback what the registry answers to. */
  readonly plainHttp?: boolean | undefined
  /** Take any certificate. */
  readonly insecureTls?: boolean | undefined
  /** PEM of authorities to trust beside the system's. */
  readonly ca?: string | undefined
  /** Hosts on other sites that the registry may send us to: `host`, `host:port`, `*.domain`. */
  readonly trustedHosts?: readonly string[] | undefined
  /** What leads to it and to whom it sends us. */
  readonly proxies?: Proxies | undefined
  /** Undefined: private addresses only while the registry itself is at one; true: always; false: never. */
  readonly allowPrivate?: boolean | undefined
  readonly userAgent?: string | undefined
  /**
   * It will be pushed to: all its calls ask for that right. Quay makes a repository when such a token is asked for, and
   * denies one for reading alone as long as there is none.
   */
  readonly isTarget?: boolean | undefined
  /** One line for each retry and change of strategy. */
  readonly log?: ((text: string) => void) | undefined
}

/** How a registry is got to. */
export type RegistryReach = Pick<
  RegistryOptions,
  'plainHttp' | 'insecureTls' | 'allowPrivate' | 'trustedHosts' | 'proxies'
>

/** What tests replace. */
export interface RegistryParts {
  readonly pace?: Pace
  readonly lookup?: Lookup
  readonly memory?: HostMemory
}

const REPOSITORY = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*$/
const DOCKER_HUB = new Set(['docker.io', 'index.docker.io'])

/** Where each repository is, so that a mount knows its source. */
const PLACES = new WeakMap<Repository, { readonly host: string; readonly repository: string }>()
/** A registry may say something to each request. */
const MOST_NOTICES = 100
/** How each host likes its uploads, for the life of the process. */
const LEARNT = new Map<string, HostMemory>()

/** A repository of a registry. Nothing is sent before the first call. Throws `reference_invalid`. */
export function openRegistryRepository(options: RegistryOptions, parts: RegistryParts = {}): Repository {
  const { registry, repository } = options
  const host = DOCKER_HUB.has(registry) ? 'registry-1.docker.io' : registry
  const name = `${registry}/${repository}`
  checkNames(options)
  const notices = new Set<string>()
  const notice = (sentence: string) => void (notices.size < MOST_NOTICES && notices.add(sentence))
  const pace = parts.pace ?? systemPace
  const client = openClient({
    ...options,
    host,
    trustedHosts: options.trustedHosts ?? [],
    userAgent: options.userAgent ?? 'tintype',
    onWarning: (text) => notice(`${registry} says: ${printable(text)}`),
    pace,
    lookup: parts.lookup,
  })
  const writing = { client, repository, name, notice, scopes: [`repository:${repository}:pull,push`] }
  const reading = options.isTarget ? writing : { ...writing, scopes: [`repository:${repository}:pull`] }
  const target = {
    ...writing,
    memory: parts.memory ?? learntOf(host),
    isThere: (blob: Descriptor, signal: AbortSignal | undefined) => probeBlob(writing, blob, signal),
    log: options.log ?? (() => {}),
  }

  const opened: Repository = {
    name,
    get notices() {
      return [...notices]
    },
    hasBlob: (digest, { signal } = {}) => headBlob(reading, digest, signal),
    checkBlob: (descriptor, { signal } = {}) => probeBlob(reading, descriptor, signal),
    openBlob: (descriptor, { signal } = {}) => readBlob(reading, descriptor, signal),
    async mountBlob({ digest }, from, { signal } = {}) {
      const source = PLACES.get(from)
      if (source?.host !== host) return false
      return takeBlob(writing, digest, { source: source.repository, signal })
    },
    pushBlob: (blob, push = {}) => uploadBlob(target, blob, push),
    resolve: (tagOrDigest, { signal } = {}) => resolveManifest(reading, tagOrDigest, signal),
    async getManifest(tagOrDigest, { signal } = {}) {
      const manifest = await readManifest(reading, tagOrDigest, signal)
      if (manifest) return manifest
      throw new AppError('image_not_found', `${name} has no image ${tagOrDigest}: check the reference.`, {
        details: { registry: host, reference: tagOrDigest },
      })
    },
    putManifest: (bytes, mediaType, { signal, ...put } = {}) =>
      writeManifest(writing, { bytes, mediaType, ...put }, signal),
  }
  PLACES.set(opened, { host, repository })
  return opened
}

function checkNames({ registry, repository }: RegistryOptions): void {
  const isHost = URL.canParse(`https://${registry}/`) && !/[/?#@\\\s]/.test(registry)
  if (!isHost) throw new AppError('reference_invalid', `Not a registry's host: "${printable(registry)}".`)
  if (repository.length > 255 || !REPOSITORY.test(repository))
    throw new AppError('reference_invalid', `Not a repository's name: "${printable(repository)}".`)
}

function learntOf(host: string): HostMemory {
  const memory = LEARNT.get(host) ?? freshMemory()
  LEARNT.set(host, memory)
  return memory
}
