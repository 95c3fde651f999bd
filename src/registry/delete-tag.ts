import { randomUUID } from 'node:crypto'
import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { openClient } from './client.ts'
import type { RegistryClient } from './client.ts'
import { readRefusal, refusalError } from './failure.ts'
import { openRegistryRepository } from './registry.ts'
import type { RegistryOptions } from './registry.ts'
import type { Repository } from './repository.ts'
import { systemPace } from './retry.ts'

export interface TagToDelete {
  readonly tag: string
  /** What the tag must stand for: one that somebody has moved is left alone. */
  readonly digest: string
}

/**
 * Take a tag away and leave the image to its other tags. By the tag itself where the registry can (distribution-spec,
 * Deleting tags). Where it deletes by digest only (distribution 2.8), which would take all tags of the image with it, the
 * tag is moved to a manifest made for that first. False: the tag is not there, or stands for another image.
 * Throws `registry_refused` when the registry does not delete, and then the tag is where it was.
 */
export async function deleteTag(options: RegistryOptions, target: TagToDelete, signal: AbortSignal): Promise<boolean> {
  const { tag, digest } = target
  const repository = openRegistryRepository(options)
  const found = await repository.resolve(tag, { signal })
  if (found === undefined) return false
  const remover = openRemover(options, repository.name, signal)
  if (found.digest !== digest) return await removeDecoyOf(repository, remover, { target, signal })
  if (await removeOnce(repository, remover, { target, signal })) return true
  return await deleteByDecoy(repository, remover, { target, signal })
}

/** By the tag itself; false where the registry does not do that. */
async function removeOnce(repository: Repository, remover: Remover, { target, signal }: Deletion): Promise<boolean> {
  const gone = new Error('the tag stands for the image no more')
  // A try whose answer was lost may have worked, and the tag may be somebody else's by now.
  const beforeRetry = async () => {
    if ((await repository.resolve(target.tag, { signal }))?.digest !== target.digest) throw gone
  }
  try {
    return await remover.remove(target.tag, { isOptional: true, beforeRetry })
  } catch (error) {
    if (error === gone) return true
    throw error
  }
}

interface Deletion {
  readonly target: TagToDelete
  readonly signal: AbortSignal
}

interface RemoveOptions {
  readonly isOptional?: boolean
  readonly beforeRetry?: () => Promise<void>
}

interface Remover {
  /** False, when optional: the registry does not do this. */
  remove(tagOrDigest: string, options?: RemoveOptions): Promise<boolean>
}

/** How long it may take to put a tag back, whatever the deletion itself was given. */
const PUT_BACK_MS = 5_000

/** False: somebody has moved the tag meanwhile. */
async function deleteByDecoy(repository: Repository, remover: Remover, { target, signal }: Deletion): Promise<boolean> {
  const { tag } = target
  const kept = await repository.getManifest(tag, { signal })
  if (kept.descriptor.digest !== target.digest) return false
  const decoy = await makeDecoy(repository, target, signal)
  const put = () => repository.putManifest(decoy.bytes, MEDIA_TYPES.ociManifest, { signal })
  await put()
  await remover.remove(decoy.digest) // a registry that does not delete says so before the tag has moved
  if ((await repository.resolve(tag, { signal }))?.digest !== target.digest) return false
  try {
    await repository.putManifest(decoy.bytes, MEDIA_TYPES.ociManifest, { tag, signal })
    await remover.remove(decoy.digest)
    return true
  } catch (error) {
    // The decoy may be there although its put has failed, and the signal may be what has fired: the tag has to come back.
    try {
      const late = AbortSignal.timeout(PUT_BACK_MS)
      const isDecoy = (await repository.resolve(tag, { signal: late }))?.digest === decoy.digest
      if (isDecoy) await repository.putManifest(kept.bytes, kept.descriptor.mediaType, { tag, signal: late })
    } catch {
      const message = `${repository.name}:${tag} may stand for an image of nothing now, and could not be put back: delete it again.`
      throw new AppError('registry_unavailable', message, { cause: error, details: { tag, digest: target.digest } })
    }
    throw error
  }
}

/** What a process that was killed between the two last steps has left of this deletion; true if there was that. */
async function removeDecoyOf(repository: Repository, remover: Remover, { target, signal }: Deletion): Promise<boolean> {
  const { bytes, descriptor } = await repository.getManifest(target.tag, { signal })
  if (!Buffer.from(bytes).includes(`"${DECOY}":"${target.digest} `)) return false // as makeDecoy writes it
  return await remover.remove(descriptor.digest)
}

/** The annotation of a decoy: the digest of the image whose tag it takes, and something of its own. */
const DECOY = 'io.tintype.deleted'

/** An image of nothing that is like no other, so that deleting it deletes nothing else. */
async function makeDecoy(repository: Repository, { digest }: TagToDelete, signal: AbortSignal) {
  const config = Buffer.from(
    JSON.stringify({ architecture: 'unknown', os: 'unknown', rootfs: { type: 'layers', diff_ids: [] } }),
  )
  const descriptor = { mediaType: MEDIA_TYPES.ociConfig, digest: digestOf(config), size: config.length }
  const blob = {
    descriptor: Promise.resolve(descriptor),
    async *open() {
      yield config
    },
  }
  await repository.pushBlob(blob, { signal })
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: descriptor,
      layers: [],
      annotations: { [DECOY]: `${digest} ${randomUUID()}` },
    }),
  )
  return { bytes, digest: digestOf(bytes) }
}

const DOCKER_HUB = 'docker.io'

function openRemover(options: RegistryOptions, name: string, signal: AbortSignal): Remover {
  const host = options.registry === DOCKER_HUB ? 'registry-1.docker.io' : options.registry
  const client = openClient({
    ...options,
    host,
    trustedHosts: options.trustedHosts ?? [],
    userAgent: options.userAgent ?? 'tintype',
    pace: systemPace,
  })
  return {
    remove: (tagOrDigest, how = {}) =>
      remove({ client, repository: options.repository, name, signal }, tagOrDigest, how),
  }
}

interface Place {
  readonly client: RegistryClient
  readonly repository: string
  readonly name: string
  readonly signal: AbortSignal
}

async function remove(
  { client, repository, name, signal }: Place,
  tagOrDigest: string,
  { isOptional = false, beforeRetry }: RemoveOptions,
): Promise<boolean> {
  const response = await client.call({
    method: 'DELETE',
    url: `/v2/${repository}/manifests/${tagOrDigest}`,
    // Quay's token server refuses the word "delete", which distribution's wants: the client does without what is denied.
    scopes: [`repository:${repository}:pull,push`, `repository:${repository}:delete`],
    signal,
    beforeRetry,
  })
  // 404: somebody else was quicker, or it went with an earlier try whose answer was lost.
  if ([200, 202, 204].includes(response.status) || (response.status === 404 && !isOptional)) {
    await response.discard()
    return true
  }
  const refusal = await readRefusal(response)
  // What is said to a tag differs: 400 DIGEST_INVALID (distribution 2.8), 405 UNSUPPORTED, 404 of a path that is not known.
  if (isOptional && [400, 404, 405].includes(response.status)) return false
  if (response.status === 405 || refusal.errors.some(({ code }) => code === 'UNSUPPORTED'))
    throw new AppError(
      'registry_refused',
      `${client.host} does not delete images: allow it there, or leave the image where it is.`,
      { details: { registry: client.host, status: response.status } },
    )
  throw refusalError(refusal, { name, host: client.host, action: 'delete a tag' })
}
