import { preview } from '#snapshot/preview.ts'
import type { Runtime } from '#runtime/runtime.ts'
import { openApi } from './api.ts'
import { startCaptureChild } from './capture/run.ts'
import { createInstance, prepareInstance } from './instance/create.ts'
import { watchInstances } from './instance/events.ts'
import { findInstance, findRunning, inspectInstance } from './instance/find.ts'
import { readHost } from './instance/host.ts'
import { removeInstance, startInstance, stopInstance, updateInstance } from './instance/life.ts'
import { readLogs } from './instance/logs.ts'
import { openStats } from './instance/stats.ts'
import { locateInstance } from './locate-instance.ts'

export interface DockerRuntimeOptions {
  /** The engine's unix socket. */
  readonly socketPath: string
  /** TINTYPE_HOME: what instances read when they start, spools of captures. */
  readonly home: string
  /** TINTYPE_ZSTD=auto: every host that pulls reads zstd. */
  readonly zstdEverywhere: boolean
  /** False: TINTYPE_TRACEPOINTS=never. */
  readonly usesTracepoints?: boolean
  readonly workers?: number
  readonly spoolBytes?: number
  readonly maxLayerBytes?: number
}

/** Instances as containers of one Docker engine (design.md §5). Nothing is asked of the engine before the first call. */
export function openDockerRuntime(options: DockerRuntimeOptions): Runtime {
  const { socketPath, home, workers } = options
  const api = openApi(socketPath)
  const stats = openStats(api)
  return {
    create: (spec, signal, onProgress) => createInstance(api, spec, { home, signal, onProgress }),
    prepare: async (spec, signal, onProgress) => void (await prepareInstance(api, spec, { home, signal, onProgress })),
    start: (handle, signal) => startInstance(api, handle, signal),
    update: (handle, changes, signal) => updateInstance(api, handle, { home, changes, signal }),
    stop: (handle, { graceSeconds }, signal) => stopInstance(api, handle, { graceSeconds, signal }),
    remove: (instanceId, { volumes }, signal) => removeInstance(api, instanceId, { home, volumes, signal }),
    inspect: (handle, signal) => inspectInstance(api, handle, signal),
    find: (instanceId, signal) => findInstance(api, instanceId, signal),
    running: (signal) => findRunning(api, signal),
    watch: (signal) => watchInstances(api, signal),
    stats: (handle, signal) => stats.read(handle, signal),
    logs: (handle, wanted, signal) => readLogs(api, handle, { ...wanted, signal }),
    host: (signal) => readHost(api, signal),
    startCapture: ({ containerId }, request) => startCaptureChild({ ...options, containerId, capture: request }),
    async preview({ containerId }, exclusions, signal) {
      const source = await locateInstance({ socketPath, containerId, home, signal })
      return preview(source, { exclusions, home, ...(workers !== undefined && { workers }), ...(signal && { signal }) })
    },
  }
}
