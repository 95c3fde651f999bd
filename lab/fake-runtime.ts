import type { InstanceRuntime } from '#service/instances/parts.ts'
import type {
  HostFacts,
  InstanceSpec,
  LogOptions,
  RuntimeChanges,
  RuntimeEvent,
  RuntimeHandle,
  RuntimeState,
  RuntimeStats,
} from '#runtime/runtime.ts'

interface Container {
  readonly containerId: string
  spec: InstanceSpec
  state: RuntimeState
}

type Call = Exclude<keyof InstanceRuntime, 'watch'>

/** An engine of containers that are records: what it is asked, it does at once, unless the test is in between. */
export class FakeRuntime {
  readonly containers = new Map<string, Container>()
  readonly volumes = new Set<string>()
  /** Every call in order: `create dsw-a`. */
  readonly calls: string[] = []
  /** Comes before a call does anything: throw, or wait. */
  before: (call: Call, instanceId: string, signal?: AbortSignal) => Promise<void> | void = () => undefined
  /** Comes after a call has done its part: throw, and the caller does not learn of it. */
  after: (call: Call, instanceId: string) => Promise<void> | void = () => undefined
  cpuPercent = 50
  facts: HostFacts = { cores: 8, memoryBytes: 16 * 2 ** 30, gpus: [] }
  lines: readonly string[] = []
  #made = 0
  readonly #watchers = new Set<(event: RuntimeEvent) => void>()

  create = (spec: InstanceSpec, signal?: AbortSignal): Promise<RuntimeHandle> =>
    this.#call('create', spec.instanceId, signal, () => {
      const there = this.containers.get(spec.instanceId)
      const containerId = there?.containerId ?? `container-${++this.#made}`
      if (!there)
        this.containers.set(spec.instanceId, { containerId, spec, state: { status: 'created', isOutOfMemory: false } })
      this.volumes.add(spec.workspaceVolume)
      return { kind: 'docker', containerId, instanceId: spec.instanceId }
    })

  start = (handle: RuntimeHandle, signal?: AbortSignal): Promise<void> =>
    this.#call('start', handle.instanceId, signal, () => {
      const container = this.#find(handle)
      if (!container) throw this.notFound(handle)
      container.state = { status: 'running', isOutOfMemory: false, ip: '127.0.0.9', startedMs: this.nowMs() }
    })

  update = (handle: RuntimeHandle, changes: RuntimeChanges, signal?: AbortSignal): Promise<void> =>
    this.#call('update', handle.instanceId, signal, () => {
      const container = this.#find(handle)
      if (!container) throw this.notFound(handle)
      container.spec = { ...container.spec, ...changes }
    })

  stop = (handle: RuntimeHandle, _options: { readonly graceSeconds: number }, signal?: AbortSignal): Promise<void> =>
    this.#call('stop', handle.instanceId, signal, () => {
      const container = this.#find(handle)
      if (container?.state.status === 'running') this.#end(container, { exitCode: 143 })
    })

  prepare = (spec: InstanceSpec, signal?: AbortSignal): Promise<void> =>
    this.#call('prepare', spec.instanceId, signal, () => undefined)

  remove = (instanceId: string, options: { readonly volumes: boolean }, signal?: AbortSignal): Promise<void> =>
    this.#call('remove', instanceId, signal, () => {
      this.containers.delete(instanceId)
      if (options.volumes) this.volumes.delete(`tintype-${instanceId}-workspace`)
    })

  inspect = (handle: RuntimeHandle, signal?: AbortSignal): Promise<RuntimeState | undefined> =>
    this.#call('inspect', handle.instanceId, signal, () => this.#find(handle)?.state)

  find = (instanceId: string, signal?: AbortSignal): Promise<RuntimeHandle | undefined> =>
    this.#call('find', instanceId, signal, () => {
      const container = this.containers.get(instanceId)
      return container && { kind: 'docker', containerId: container.containerId, instanceId }
    })

  running = (signal?: AbortSignal): Promise<readonly RuntimeHandle[]> =>
    this.#call('running', '', signal, () =>
      [...this.containers].flatMap(([instanceId, { containerId, state }]) =>
        state.status === 'running' ? [{ kind: 'docker' as const, containerId, instanceId }] : [],
      ),
    )

  stats = (handle: RuntimeHandle, signal?: AbortSignal): Promise<RuntimeStats | undefined> =>
    this.#call('stats', handle.instanceId, signal, () => {
      if (this.#find(handle)?.state.status !== 'running') return undefined
      const rates = {
        netInBytesPerSecond: 1,
        netOutBytesPerSecond: 2,
        diskReadBytesPerSecond: 3,
        diskWriteBytesPerSecond: 4,
      }
      return { timeMs: this.nowMs(), cpuPercent: this.cpuPercent, memoryBytes: 5, memoryPercent: 25, ...rates }
    })

  logs = (handle: RuntimeHandle, _options: LogOptions, signal?: AbortSignal): Promise<readonly string[]> =>
    this.#call('logs', handle.instanceId, signal, () => this.lines)

  host = (signal?: AbortSignal): Promise<HostFacts> => this.#call('host', '', signal, () => this.facts)

  async *watch(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    const waiting: RuntimeEvent[] = [{ type: 'connected', timeMs: this.nowMs() }]
    let wake = () => {}
    const push = (event: RuntimeEvent) => {
      waiting.push(event)
      wake()
    }
    this.#watchers.add(push)
    signal.addEventListener('abort', () => wake(), { once: true })
    try {
      while (!signal.aborted) {
        const event = waiting.shift()
        if (event) yield event
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      this.#watchers.delete(push)
    }
  }

  /** The time of its readings. */
  nowMs: () => number = () => 0
  notFound: (handle: RuntimeHandle) => Error = ({ containerId }) => new Error(`no ${containerId}`)

  /** The container ends by itself. */
  exit(instanceId: string, how: Partial<RuntimeState> = { exitCode: 0 }): void {
    const container = this.containers.get(instanceId)
    if (container) this.#end(container, how)
  }

  /** Somebody starts the container behind our back; `isTold` false: and no event comes of it. */
  startBeside(instanceId: string, isTold = true): void {
    const container = this.containers.get(instanceId)
    if (!container) return
    container.state = { status: 'running', isOutOfMemory: false, ip: '127.0.0.9', startedMs: this.nowMs() + 1 }
    if (isTold) this.#tell({ type: 'started', instanceId, containerId: container.containerId, timeMs: this.nowMs() })
  }

  /** Somebody removes the container behind our back. */
  lose(instanceId: string): void {
    const container = this.containers.get(instanceId)
    this.containers.delete(instanceId)
    if (container) this.#tell({ type: 'removed', instanceId, containerId: container.containerId, timeMs: this.nowMs() })
  }

  #end(container: Container, how: Partial<RuntimeState>): void {
    container.state = { status: 'exited', isOutOfMemory: false, ...how }
    const { containerId, spec } = container
    this.#tell({ type: 'exited', instanceId: spec.instanceId, containerId, timeMs: this.nowMs() })
  }

  #tell(event: RuntimeEvent): void {
    for (const push of this.#watchers) push(event)
  }

  #find({ instanceId, containerId }: RuntimeHandle): Container | undefined {
    const container = this.containers.get(instanceId)
    return container?.containerId === containerId ? container : undefined
  }

  async #call<T>(call: Call, instanceId: string, signal: AbortSignal | undefined, work: () => T): Promise<T> {
    this.calls.push(`${call} ${instanceId}`.trim())
    await this.before(call, instanceId, signal)
    signal?.throwIfAborted()
    const result = work()
    await this.after(call, instanceId)
    return result
  }
}
