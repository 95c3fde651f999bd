import type { Source } from '#snapshot/source.ts'
import { ENTRY_DIRECTORY } from './instance/entry.ts'
import { locateDockerContainer } from './locate.ts'

export interface LocateInstanceOptions {
  readonly socketPath: string
  readonly containerId: string
  readonly home: string
  readonly signal?: AbortSignal | undefined
}

/** As `locateDockerContainer`. What Tintype itself mounts is nothing that its user would miss in the image. */
export async function locateInstance({
  socketPath,
  containerId,
  home,
  signal,
}: LocateInstanceOptions): Promise<Source> {
  const options = { socketPath, container: containerId, spoolDirectory: home, ...(signal && { signal }) }
  const source = await locateDockerContainer(options)
  const mountPoints = source.mountPoints.map(({ path, isVolume }) => ({
    path,
    isVolume: isVolume && path.toString() !== ENTRY_DIRECTORY,
  }))
  return { ...source, mountPoints }
}
