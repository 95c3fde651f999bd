import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mustRun } from '#lab/workspace.ts'
import type { Captured } from '#snapshot/result.ts'

/**
 * What a capture has put on its base image, unpacked by umoci as if the base were empty: fast for a large base.
 * `layout` is the OCI layout that it was saved to; `directory`, on the same file system, is made. Returns the root.
 */
export async function unpackOwnLayers(layout: string, captured: Captured, directory: string): Promise<string> {
  const blobs = join(directory, 'layout/blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  const put = (mediaType: string, content: object) => {
    const bytes = JSON.stringify(content)
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(blobs, hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }
  const layers = captured.layers.map(({ digest, mediaType, sizeBytes }) => {
    const hex = digest.replace('sha256:', '')
    linkSync(join(layout, 'blobs/sha256', hex), join(blobs, hex))
    return { mediaType, digest, size: sizeBytes }
  })
  const config = put('application/vnd.oci.image.config.v1+json', {
    os: 'linux',
    architecture: 'amd64',
    config: {},
    rootfs: { type: 'layers', diff_ids: captured.layers.map(({ diffID }) => diffID) },
  })
  const manifestType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = put(manifestType, { schemaVersion: 2, mediaType: manifestType, config, layers })
  const named = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': 't' } }
  writeFileSync(join(directory, 'layout/oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(join(directory, 'layout/index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }))
  const bundle = join(directory, 'bundle')
  await mustRun('umoci', ['unpack', '--keep-dirlinks=false', '--image', `${join(directory, 'layout')}:t`, bundle])
  return join(bundle, 'rootfs')
}
