import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from '#base/process.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import type {
  FrameEvent,
  KeptEvent,
  NamedInodes,
  PassedEvent,
  ReaderEvent,
  ReaderInit,
  ReportEvent,
  SavedEvent,
} from '#snapshot/protocol.ts'
import { startReader, type ReaderProcess } from '#snapshot/reader-process.ts'
import { readerInit } from '#snapshot/reader-init.ts'
import type { Source } from '#snapshot/source.ts'
import { openSpool, type Spool } from '#snapshot/spool.ts'

/** What a reader has left for the next one. */
export interface Saved extends Disposable {
  readonly path: string
  readonly counts: SavedEvent
}

/** A reader in its jail over a directory, without a container: what the capture does around it, the test does by hand. */
export class ReaderRun implements AsyncDisposable {
  readonly layers: Buffer[] = []
  readonly #spool: Spool
  readonly #reader: ReaderProcess
  readonly #home: string
  readonly #next: FileHandle
  readonly #nextPath: string
  #isSaved = false
  readonly #frames: FrameEvent[] = []

  private constructor(parts: { home: string; spool: Spool; reader: ReaderProcess; next: FileHandle; path: string }) {
    this.#home = parts.home
    this.#spool = parts.spool
    this.#reader = parts.reader
    this.#next = parts.next
    this.#nextPath = parts.path
  }

  /** `before`: what the capture before has left. */
  static async open(upperdir: string, init: Partial<ReaderInit> = {}, before?: Saved): Promise<ReaderRun> {
    const home = mkdtempSync(join(tmpdir(), 'reader-run-'))
    const spool = await openSpool(home)
    const source = { upperdir, mountPoints: [], uidMap: [], gidMap: [] } as unknown as Source
    const standard = await readerInit(source, { exclusions: [], codec: { name: 'none', level: 0 }, spool, workers: 2 })
    const path = join(tmpdir(), `reader-run-${process.pid}-${RUNS.next++}.rows`)
    const next = await open(path, 'wx+')
    await using index = before && (await open(before.path))
    const loaded = before && { index: { ...before.counts, metExclusions: [], doubtMicros: 0 } }
    const reader = await startReader({ upperdir, spool, init: { ...standard, ...loaded, ...init }, index, next })
    return new ReaderRun({ home, spool, reader, next, path })
  }

  /** A live pass; `readMicros` as if a sync and a barrier had just been. */
  pass(readMicros = Date.now() * 1000, { syncsEachFile = false } = {}): Promise<PassedEvent> {
    const command = { command: 'pass', readMicros, syncsEachFile, checksAfterRead: true, trustsNothing: false } as const
    return this.#reader.run(command, 'passed', (event) => this.#take(event))
  }

  /** A live pass with a spool that has room for `rooms` one after the other; how many layers there were at each pause. */
  async passInRooms([first = 0, ...rooms]: readonly number[], onPause = () => {}): Promise<readonly number[]> {
    const onEvent = (event: ReaderEvent) => this.#take(event)
    const command = { command: 'pass', readMicros: Date.now() * 1000, trustsNothing: false, roomBytes: first } as const
    const options = { syncsEachFile: false, checksAfterRead: true }
    let passed = await this.#reader.run({ ...command, ...options }, 'passed', onEvent)
    const counts: number[] = []
    while (passed.isPaused) {
      counts.push(this.layers.length)
      onPause()
      const roomBytes = rooms.shift() ?? first
      passed = await this.#reader.run({ command: 'resume', roomBytes }, 'passed', onEvent)
    }
    return counts
  }

  /** A frozen pass; `frozenMicros` as if the freeze had been then, `readMicros` as if a sync had been before it. */
  keep({ budgetBytes = 1 << 30, frozenMicros = Date.now() * 1000, readMicros = 0 } = {}): Promise<KeptEvent> {
    return this.#reader.run({ command: 'keep', readMicros, frozenMicros, budgetBytes, trustsNothing: false }, 'kept')
  }

  /** A frozen pass that looks only at what a watch has named. */
  keepNamed(named: NamedInodes, readMicros = 0): Promise<KeptEvent> {
    const freeze = { frozenMicros: Date.now() * 1000, budgetBytes: 1 << 30, trustsNothing: false }
    return this.#reader.run({ command: 'keep', readMicros, ...freeze, named }, 'kept')
  }

  /** How many of the inodes belong to what is captured. */
  async count(named: NamedInodes): Promise<number> {
    return (await this.#reader.run({ command: 'count', named }, 'counted')).count
  }

  async look(): Promise<void> {
    await this.#reader.run({ command: 'look' }, 'looked')
  }

  async pack(readMicros = 0): Promise<void> {
    await this.#reader.run({ command: 'pack', readMicros }, 'passed', (event) => this.#take(event))
  }

  /** Have the rows written down for the next reader. */
  async save(): Promise<Saved> {
    const counts = await this.#reader.run({ command: 'save' }, 'saved')
    this.#isSaved = true
    const path = this.#nextPath
    return { path, counts, [Symbol.dispose]: () => rmSync(path, { force: true }) }
  }

  report(): Promise<ReportEvent> {
    return this.#reader.run({ command: 'report' }, 'report')
  }

  /** The layers so far, above `base`, as an OCI layout that umoci unpacks; returns the root. */
  async unpack(base: readonly Buffer[] = []): Promise<string> {
    const layout = mkdtempSync(join(this.#home, 'layout-'))
    writeLayout(layout, [...base, ...this.layers])
    const bundle = join(layout, 'bundle')
    const { exitCode, stderr } = await runProgram('umoci', [
      'unpack',
      '--keep-dirlinks=false',
      '--image',
      `${layout}:t`,
      bundle,
    ])
    if (exitCode !== 0) throw new Error(`umoci: ${stderr}`)
    return join(bundle, 'rootfs')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]()
    await this.#spool[Symbol.asyncDispose]()
    await this.#next.close()
    if (!this.#isSaved) rmSync(this.#nextPath)
    rmSync(this.#home, { recursive: true, force: true })
  }

  #take(event: ReaderEvent): void {
    if (event.event === 'frame') this.#frames.push(event)
    if (event.event !== 'layer') return
    const parts = this.#frames.filter(({ layer }) => layer === event.layer).map((frame) => this.#bytes(frame))
    this.layers.push(Buffer.concat(parts))
  }

  #bytes({ offset, size }: FrameEvent): Buffer {
    const bytes = Buffer.alloc(size)
    readSync(this.#spool.frames.fd, bytes, 0, size, offset)
    return bytes
  }
}

const RUNS = { next: 0 }

/** An OCI image layout of uncompressed layers, written without any code of ours (image-spec, image-layout.md). */
function writeLayout(directory: string, layers: readonly Buffer[]): void {
  const blobs = join(directory, 'blobs', 'sha256')
  const put = (bytes: Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(blobs, hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }
  rmSync(blobs, { recursive: true, force: true })
  mkdirSync(blobs, { recursive: true })
  const descriptors = layers.map((layer) => put(layer, MEDIA_TYPES.ociLayer))
  const config = {
    os: 'linux',
    architecture: 'amd64',
    config: {},
    rootfs: { type: 'layers', diff_ids: descriptors.map(({ digest }) => digest) },
  }
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: put(Buffer.from(JSON.stringify(config)), MEDIA_TYPES.ociConfig),
    layers: descriptors,
  }
  const named = {
    ...put(Buffer.from(JSON.stringify(manifest)), MEDIA_TYPES.ociManifest),
    annotations: { 'org.opencontainers.image.ref.name': 't' },
  }
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }))
}
