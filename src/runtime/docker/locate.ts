import { realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '#base/errors.ts'
import { findFreezerCgroup } from '#freezer/cgroup.ts'
import type { MountPoint, Source } from '#snapshot/source.ts'
import { describeBase, storeOf, type Store } from './base.ts'
import { openEngine, type Engine } from './engine.ts'
import { exportImage } from './export.ts'
import type { ContainerInfo, EngineInfo } from './inspect.ts'
import { readProcessRoot } from './process-root.ts'

export interface LocateOptions {
  /** The engine's unix socket. */
  readonly socketPath: string
  /** Name, id, or the beginning of an id. */
  readonly container: string
  /** Where a base image that has to be exported from the engine lies meanwhile. Default `/var/tmp`. */
  readonly spoolDirectory?: string
  readonly signal?: AbortSignal
}

// Sandboxes whose container changes never reach an upperdir of the host: it is empty or stale (overlay.md).
const SANDBOX = /runsc|gvisor|kata|krun|wasm/i
const CONTAINERD_UPPERDIR = /\/io\.containerd\.snapshotter\.v1\.[a-z]+\/snapshots\/\d+\/fs$/
/** What the engine mounts into every container, for one that is stopped and has no mountinfo. */
const ENGINE_MOUNTS = ['/proc', '/sys', '/dev', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/run/.containerenv']

/**
 * The source of a container of Docker or Podman (design.md §4.1): which process, which upperdir, which base image, all by
 * the engine's and the kernel's word, and checked against each other. A stopped container is found where the engine says
 * its directories. Throws `container_not_found`, `container_not_running`, `container_paused`, `container_gone`,
 * `overlay_unsupported`, `image_unsupported`, `base_not_found`, `permission_denied`, `engine_unavailable`, `cancelled`.
 */
export async function locateDockerContainer(options: LocateOptions): Promise<Source> {
  if (process.getuid?.() !== 0)
    throw new AppError('permission_denied', "A container's files can be read by root only: run as root (sudo).")
  const engine = openEngine(options.socketPath, options.signal)
  const [container, info] = await Promise.all([engine.inspectContainer(options.container), engine.info()])
  assertUsable(container, info)
  const store = storeOf(container.storage.driver || info.driver)
  const place = container.isRunning ? runningPlace(container, options.socketPath) : stoppedPlace(store, container, info)
  assertInEngine(store, place.upperdir, container, info)
  const { lowerdirs, ...source } = place
  return {
    containerId: container.id,
    containerName: container.name,
    ...source,
    base: await locateBase(engine, store, { container, lowerdirs, options }),
    ...(!container.isRunning && { assertStopped: (signal) => assertStopped(container, options, signal) }),
  }
}

type Place = Omit<Source, 'containerId' | 'containerName' | 'base' | 'assertStopped'> & {
  readonly lowerdirs: readonly string[]
}

function assertUsable(container: ContainerInfo, info: EngineInfo): void {
  const { name, status, runtime } = container
  if (container.isPaused)
    throw new AppError('container_paused', `Someone else has paused ${name}: unpause it, then try again.`)
  if (container.isUnsteady)
    throw new AppError('container_not_running', `The container ${name} is ${status}: try again when it runs.`)
  if (info.isRootless)
    throw new AppError(
      'overlay_unsupported',
      'The engine is rootless, and its directories are in a namespace of its own: use an engine of root.',
    )
  const program = `${runtime} ${info.runtimes[runtime] ?? ''}`
  if (SANDBOX.test(program))
    throw new AppError(
      'overlay_unsupported',
      `The container ${name} runs in a sandbox (${runtime}), and what it changes is not on the host.`,
    )
}

function runningPlace(container: ContainerInfo, socketPath: string): Place {
  const named = container.storage.upperdir
  const root = readProcessRoot(container.pid, named === undefined ? {} : { mountedFrom: dirname(dirname(named)) })
  const { overlay, init, mountPoints, uidMap, gidMap } = root
  const cgroup = findFreezerCgroup(init.pid, container.id)
  return {
    init,
    freezer: { kind: 'engine', socketPath, containerId: container.id, ...(cgroup !== undefined && { cgroup }) },
    upperdir: overlay.upperdir,
    userXattr: overlay.userXattr,
    lowerdirs: overlay.lowerdirs,
    mountPoints,
    uidMap,
    gidMap,
  }
}

function stoppedPlace(store: Store, container: ContainerInfo, info: EngineInfo): Place {
  const { name, status, storage } = container
  const refuse = (why: string) =>
    new AppError('container_not_running', `The container ${name} is ${status}, and ${why}: start it, then try again.`)
  if (store === 'containerd' || storage.upperdir === undefined)
    throw refuse('the engine does not say where a stopped one has its files')
  const hasUserns = (info.hasUserns && container.usernsMode !== 'host') || container.hasIdMappings
  if (hasUserns) throw refuse('the map of its user namespace is known only while it runs')
  return {
    upperdir: storage.upperdir,
    userXattr: false,
    lowerdirs: storage.lowerdirs,
    mountPoints: stoppedMounts(container),
    uidMap: [],
    gidMap: [],
  }
}

async function assertStopped(before: ContainerInfo, { socketPath }: LocateOptions, signal: AbortSignal): Promise<void> {
  const now = await openEngine(socketPath, signal).inspectContainer(before.id)
  if (!now.isRunning && now.startedAt === before.startedAt) return
  throw new AppError('container_gone', `The container ${before.name} was started while it was saved: try again.`)
}

function stoppedMounts({ volumes }: ContainerInfo): readonly MountPoint[] {
  const of = (paths: readonly string[], isVolume: boolean) =>
    paths.map((path) => ({ path: Buffer.from(path), isVolume }))
  return [...of(ENGINE_MOUNTS, false), ...of(volumes, true)]
}

/** The upperdir exists, and is the one that the engine has given to this container. */
function assertInEngine(store: Store, upperdir: string, { name, storage }: ContainerInfo, info: EngineInfo): void {
  const refuse = (why: string) => new AppError('overlay_unsupported', `The upperdir ${upperdir} of ${name} ${why}.`)
  if (!statSync(upperdir, { throwIfNoEntry: false })?.isDirectory())
    throw refuse("is not on this host: run Tintype where the engine's files are, under the same path")
  const real = realpathSync(upperdir)
  if (store === 'containerd') {
    if (!CONTAINERD_UPPERDIR.test(real)) throw refuse("does not lie in a snapshotter's directory of containerd")
    return
  }
  if (storage.upperdir === undefined || realpathSync(storage.upperdir) !== real)
    throw refuse(`is not the one that the engine names (${storage.upperdir ?? 'none'})`)
  if (!real.startsWith(`${realpathSync(info.root)}/`))
    throw refuse(`does not lie under the engine's root (${info.root})`)
}

interface BaseParts {
  readonly container: ContainerInfo
  readonly lowerdirs: readonly string[]
  readonly options: LocateOptions
}

async function locateBase(engine: Engine, store: Store, parts: BaseParts): Promise<Source['base']> {
  const { container, lowerdirs, options } = parts
  const image = await engine.inspectImage(container.imageId, container.imageName)
  const base = describeBase(store, container, image, lowerdirs)
  const { spoolDirectory = '/var/tmp' } = options
  return {
    ...base,
    export: (signal) =>
      exportImage(engine, {
        imageId: container.imageId,
        diffIDs: base.diffIDs,
        spoolDirectory,
        ...(signal && { signal }),
      }),
  }
}
