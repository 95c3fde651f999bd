import { systemClock } from '#base/clock.ts'
import { openRegistries } from '#cli/registries.ts'
import { runSnapshot } from '#cli/snapshot.ts'
import { readConfig } from '#config/config.ts'
import { locateDockerContainer } from '#runtime/docker/locate.ts'
import { capture } from '#snapshot/capture.ts'
import type { Captured, CaptureOptions } from '#snapshot/result.ts'
import type { Source } from '#snapshot/source.ts'
import type { CommandOptions } from './command.ts'

export interface SnapshotHereOptions extends CommandOptions {
  /** Other limits and ears than the command has. */
  readonly more?: Partial<CaptureOptions>
  /** Changes what was found out of the container. */
  readonly change?: (source: Source) => Source
}

/** `tintype snapshot ARGS` in this process, where its limits can be others. Throws as the capture does. */
export async function snapshotHere(args: readonly string[], options: SnapshotHereOptions): Promise<Captured> {
  const { home, socketPath, more = {}, change = (source) => source } = options
  const { signal } = new AbortController()
  const config = await readConfig({ TINTYPE_HOME: home, DOCKER_HOST: `unix://${socketPath}` })
  const said: string[] = []
  await runSnapshot(
    [...args, '--json', '--quiet'],
    {
      terminal: { out: (text) => void said.push(String(text)), err: () => {}, isInteractive: false, columns: () => 80 },
      clock: systemClock,
      config,
      thawLeftovers: () => Promise.resolve([]),
      ...openRegistries({ config, env: {}, signal }),
      locate: (id) => locateDockerContainer({ socketPath, container: id, signal, spoolDirectory: home }),
      capture: (source, given) => capture(change(source), { ...given, ...more }),
    },
    more.signal ?? signal,
  )
  return JSON.parse(said.join('')) as Captured
}
