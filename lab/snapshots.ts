/** What the service of snapshots works with, played: instances, captures that a test directs, a registry in memory. */
import type { Clock } from '#base/clock.ts'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { TestStore } from '#lab/stores.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { digestOf } from '#oci/digest.ts'
import { formatReference } from '#oci/reference.ts'
import type { Repository } from '#registry/repository.ts'
import type { CaptureEvent, CaptureRequest, CaptureRun, RuntimeHandle } from '#runtime/runtime.ts'
import type { InstanceFacts, SavingOutcome } from '#service/saving.ts'
import type { SnapshotInstances, SnapshotParts, SnapshotRegistries } from '#service/snapshots/parts.ts'
import type { Captured } from '#snapshot/result.ts'

/** The machine's clock, which a test can put forward: what was to last has run out, and nobody has waited. */
export class AheadClock implements Clock {
  #aheadMs = 0

  wallMs = (): number => systemClock.wallMs() + this.#aheadMs
  wallNs = (): bigint => systemClock.wallNs() + BigInt(this.#aheadMs) * 1_000_000n
  monotonicMs = (): number => systemClock.monotonicMs()

  pass(ms: number): void {
    this.#aheadMs += ms
  }
}

/** So long that no server of a test loses what it works on, however busy the machine is. */
export const LEASE_MS = 60_000

/** A manifest of its own for each `name`. */
export function makeManifest(name: string) {
  const blob = (text: string) => ({ digest: digestOf(text), size: text.length })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, ...blob(`config of ${name}`) },
    layers: [{ mediaType: MEDIA_TYPES.ociLayerGzip, ...blob(`layer of ${name}`) }],
  })
  return { manifest, digest: digestOf(manifest), mediaType: MEDIA_TYPES.ociManifest }
}

/** One capture that was started; the test says what happens in it. */
export class PlayedRun implements CaptureRun {
  readonly handle: RuntimeHandle
  readonly request: CaptureRequest
  /** Resolves when the manifest may be put, or when the capture has ended without that. */
  readonly confirmed: Promise<void>
  readonly ended: Promise<void>
  readonly events: AsyncIterable<CaptureEvent>
  readonly result: Promise<Captured>
  isConfirmed = false
  isCancelled = false
  #waiting: CaptureEvent[] = []
  #more = Promise.withResolvers<void>()
  #isOver = false
  readonly #result = Promise.withResolvers<Captured>()
  readonly #confirmed = Promise.withResolvers<void>()

  constructor(handle: RuntimeHandle, request: CaptureRequest) {
    this.handle = handle
    this.request = request
    this.result = this.#result.promise
    this.confirmed = this.#confirmed.promise
    this.ended = this.result.then(
      () => {},
      () => {},
    )
    this.events = this.#read()
  }

  tell(event: CaptureEvent): void {
    this.#waiting.push(event)
    this.#more.resolve()
  }

  progress(bytes: number): void {
    this.tell({ type: 'progress', phase: 'reading', pass: 1, files: 1, bytes, bytesTotal: 100, uploadedBytes: 0 })
  }

  succeed(digest: string): void {
    const { reference } = this.request
    this.#result.resolve({ ...CAPTURED, reference, digest })
    this.#end()
  }

  fail(error: AppError): void {
    this.#result.reject(error)
    this.#end()
  }

  cancel(): void {
    this.isCancelled = true
    this.fail(new AppError('cancelled', 'Cancelled.'))
  }

  confirmManifest(): void {
    this.isConfirmed = true
    this.#confirmed.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isOver) this.cancel()
  }

  #end(): void {
    this.#isOver = true
    this.#confirmed.resolve()
    this.#more.resolve()
  }

  async *#read(): AsyncIterable<CaptureEvent> {
    for (;;) {
      const event = this.#waiting.shift()
      if (event) yield event
      else if (this.#isOver) return
      else {
        await this.#more.promise
        this.#more = Promise.withResolvers()
        if (this.#isOver) this.#more.resolve()
      }
    }
  }
}

const CAPTURED: Captured = {
  reference: '',
  digest: '',
  baseReference: 'debian:12',
  mode: 'full',
  modeReason: 'the first',
  layers: [],
  files: 1,
  rawBytes: 1,
  compressedBytes: 1,
  uploadedBytes: 1,
  passes: 1,
  frozenMs: 3,
  barrierMs: 1,
  freezeMethod: 'walk',
  totalMs: 100,
  torn: [],
  skipped: [],
  unsavedMounts: ['/mnt/workspace'],
  warnings: [],
}

/** An engine that captures as the test directs. */
export class PlayedRuntime {
  readonly runs: PlayedRun[] = []
  /** What each capture does by itself; absent: nothing, the test does it. */
  script: ((run: PlayedRun) => void) | undefined
  readonly #asked: ((run: PlayedRun) => void)[] = []
  readonly #unseen: PlayedRun[] = []

  startCapture = (handle: RuntimeHandle, request: CaptureRequest): PlayedRun => {
    const run = new PlayedRun(handle, request)
    this.runs.push(run)
    this.script?.(run)
    const asked = this.#asked.shift()
    if (asked) asked(run)
    else this.#unseen.push(run)
    return run
  }

  preview = async (): Promise<never> => {
    throw new AppError('container_gone', 'There is nothing to preview here.')
  }

  /** The next capture that is started, or was and has not been asked for. */
  async nextRun(): Promise<PlayedRun> {
    return this.#unseen.shift() ?? new Promise((resolve) => this.#asked.push(resolve))
  }
}

/** Instances that exist in memory only, shared by all servers of a test. */
export class PlayedInstances implements SnapshotInstances {
  readonly #facts = new Map<string, InstanceFacts>()
  /** What happened, in order: `dsw-1 Saving`, `dsw-1 Running`, `dsw-1 Saved run` … */
  readonly told: string[] = []
  /** By reference, or by digest. */
  readonly imagesInUse = new Set<string>()

  add(instanceId: string, change: Partial<InstanceFacts> = {}): void {
    const handle = { kind: 'docker', containerId: `container-of-${instanceId}`, instanceId } as const
    const facts = { instanceId, workspaceId: '1', userId: '7', status: 'Running', imageId: 'image-base', handle }
    this.#facts.set(instanceId, {
      ...facts,
      accessibility: 'PRIVATE',
      startedMs: 0,
      mountPaths: ['/mnt/workspace', '/mnt/data'],
      ...change,
    })
  }

  remove(instanceId: string): void {
    this.#facts.delete(instanceId)
  }

  status(instanceId: string): string | undefined {
    return this.#facts.get(instanceId)?.status
  }

  find = async (instanceId: string): Promise<InstanceFacts | undefined> => this.#facts.get(instanceId)

  async setSaving(instanceId: string): Promise<boolean> {
    const status = this.status(instanceId)
    if (status === 'Running') this.#set(instanceId, 'Saving')
    return status === 'Running' || status === 'Saving'
  }

  async endCommitting(instanceId: string): Promise<void> {
    if (this.status(instanceId) === 'Saving') this.#set(instanceId, 'Running')
  }

  wake(): void {}

  async endSaving(
    _: unknown,
    instanceId: string,
    _id: string,
    { outcome, reasonCode, then }: SavingOutcome,
  ): Promise<void> {
    this.told.push([instanceId, outcome, reasonCode || then].join(' '))
    const isStop = then === 'stop' && outcome === 'Saved'
    if (this.status(instanceId) === 'Saving') this.#set(instanceId, isStop ? 'Stopping' : 'Running')
  }

  usesImage = async ({ uri, digest }: { readonly uri: string; readonly digest: string }): Promise<boolean> =>
    this.imagesInUse.has(uri) || this.imagesInUse.has(digest)

  #set(instanceId: string, status: string): void {
    const facts = this.#facts.get(instanceId)
    if (facts) this.add(instanceId, { ...facts, status })
    this.told.push(`${instanceId} ${status}`)
  }
}

/** Registries in memory: `r.example.com` is allowed. */
export class PlayedRegistries implements SnapshotRegistries {
  /** `registry/repository:tag` → digest. */
  readonly tags = new Map<string, string>()
  /** Blobs that a garbage collection has taken. */
  readonly lostBlobs = new Set<string>()
  /** What every look at a tag throws. */
  failure: AppError | undefined
  /** Looks at a tag get no answer. */
  isSilent = false

  async accessTo(host: string) {
    if (host === 'r.example.com') return { host }
    throw new AppError('registry_not_allowed', `ImageUrl: the server may not push to ${host}.`)
  }

  all = async () => [{ host: 'r.example.com' }, { host: 'other.example.com' }]

  async open({
    registry,
    repository,
  }: {
    readonly registry: string
    readonly repository: string
  }): Promise<Repository> {
    await this.accessTo(registry)
    const nameOf = (tag: string) => formatReference({ registry, repository, tag })
    const unused = async (): Promise<never> => {
      throw new AppError('internal', 'Nobody calls this.')
    }
    return {
      name: `${registry}/${repository}`,
      notices: [],
      hasBlob: unused,
      checkBlob: async ({ digest }) => !this.lostBlobs.has(digest),
      openBlob: () => {
        throw new AppError('internal', 'Nobody calls this.')
      },
      mountBlob: unused,
      pushBlob: unused,
      getManifest: unused,
      resolve: async (tag) => {
        if (this.isSilent) await new Promise(() => {})
        if (this.failure) throw this.failure
        const digest = this.tags.get(nameOf(tag))
        return digest === undefined
          ? undefined
          : { mediaType: MEDIA_TYPES.ociManifest, digest: digestOfTag(digest), size: 1 }
      },
      putManifest: async (bytes, mediaType, { tag } = {}) => {
        this.tags.set(nameOf(tag ?? ''), digestOf(bytes))
        return { mediaType, digest: digestOf(bytes), size: bytes.length }
      },
    }
  }

  async deleteTag(reference: Parameters<SnapshotRegistries['deleteTag']>[0], digest: string): Promise<boolean> {
    if (this.failure) throw this.failure
    const name = formatReference(reference)
    return this.tags.get(name) === digest && this.tags.delete(name)
  }
}

const digestOfTag = (text: string) => text as `sha256:${string}`

export interface PlayedWorld {
  readonly store: TestStore
  readonly instances: PlayedInstances
  readonly registries: PlayedRegistries
  readonly runtime: PlayedRuntime
  readonly clock: AheadClock
}

/** The parts of one server in this world, which looks often for what there is to do. */
export function partsOf(world: PlayedWorld, owner: string, change: Partial<SnapshotParts> = {}): SnapshotParts {
  const times = { pollMs: 20, beatMs: 20, leaseMs: LEASE_MS, retryMs: 5, againMs: 5 }
  return { ...world, log: () => {}, maxSnapshots: 3, owner, times, ...change }
}

/** What a capture does that goes well by itself: thawed, its manifest put once that is confirmed. */
export function goesWell(registries: PlayedRegistries, run: PlayedRun): void {
  const { digest, manifest, mediaType } = makeManifest(run.request.reference)
  run.progress(10)
  run.tell({ type: 'thawed' })
  run.tell({ type: 'manifest', digest, manifest, mediaType })
  void run.confirmed.then(() => {
    if (!run.isConfirmed) return
    registries.tags.set(run.request.reference, digest)
    run.succeed(digest)
  })
}

export interface KillableWorld {
  readonly world: PlayedWorld
  /** As kill -9: nothing that this server does has an effect any more, and its captures end. */
  kill(): void
}

/** The same world as one server sees it that can be killed. */
export function killable(world: PlayedWorld): KillableWorld {
  let isDead = false
  const runtime = new PlayedRuntime()
  // The test directs the captures through the world's own runtime.
  runtime.startCapture = (handle, request) => {
    if (isDead) throw new AppError('engine_unavailable', 'This server was killed.')
    const run = world.runtime.startCapture(handle, request)
    runtime.runs.push(run)
    return run
  }
  const guard = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(_, key) {
        const value: unknown = Reflect.get(target, key)
        if (typeof value === 'object' && value !== null) return guard(value)
        if (typeof value !== 'function') return value
        // Nobody waits for it: a rejection would be nobody's.
        if (key === 'wake') return (...args: unknown[]) => (isDead ? undefined : Reflect.apply(value, target, args))
        return async (...args: unknown[]) => {
          if (isDead) throw new AppError('store_unavailable', 'This server was killed.')
          return Reflect.apply(value, target, args)
        }
      },
    })
  return {
    world: {
      store: guard(world.store),
      instances: guard(world.instances),
      registries: guard(world.registries),
      runtime,
      clock: world.clock,
    },
    kill() {
      isDead = true
      for (const run of runtime.runs) run.cancel()
    },
  }
}
