import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { ImageBase } from '#oci/append-layers.ts'
import { keepIndex, sealIndex } from './chain/keep-index.ts'
import { squashChain } from './chain/squash-chain.ts'
import { stackOf } from './chain/stack.ts'
import { openCapture, type OpenCapture } from './open-capture.ts'
import { runPasses } from './passes.ts'
import type { PassesResult } from './passes-parts.ts'
import { createdOf, publish, refuseExistingTag } from './publish.ts'
import { describeCapture } from './describe.ts'
import { prepareBase } from './prepare-base.ts'
import type { CaptureOptions, Captured } from './result.ts'
import type { Source } from './source.ts'
import { syncFileSystem } from './sync-file-system.ts'

/**
 * Save a container as an image, and push it:
 *
 *     refuse a tag that exists → read in passes while layers and base travel → freeze, keep the rest, thaw
 *     → finish uploads → squash where layers have become too many → config and manifest → put manifest → verify by digest
 *
 * Nothing is seen in the registry before the manifest is put; a failure leaves only unreferenced blobs, and never a frozen
 * container. Throws AppError; see docs/errors.md.
 */
export async function capture(source: Source, options: CaptureOptions): Promise<Captured> {
  const startMs = systemClock.monotonicMs()
  await refuseExistingTag(options)
  const captured = await captureOnce(source, options, { startMs })
  if (captured !== CHAIN_LOST) return captured
  const fullReason = 'the registry has lost a layer of the snapshots before'
  const again = await captureOnce(source, options, { startMs, fullReason })
  if (again !== CHAIN_LOST) return again
  throw new AppError('internal', 'A full capture has lost a chain, which it has not got.')
}

/** A layer of the chain was there when it was looked for, and is gone: what it held has to be taken again. */
const CHAIN_LOST = Symbol('chain lost')

interface Attempt {
  readonly startMs: number
  readonly fullReason?: string
}

async function captureOnce(
  source: Source,
  options: CaptureOptions,
  attempt: Attempt,
): Promise<Captured | typeof CHAIN_LOST> {
  await using run = await openCapture(source, options, attempt)
  let preparing: Promise<ImageBase> | undefined
  const prepare = () => (preparing ??= run.guard(prepareBase(run)))
  try {
    const taken = await run.guard(readPasses(run, prepare))
    void run.watch.close()
    const report = await run.reader.run({ command: 'report' }, 'report')
    const sealing = sealIndex(run)
    const base = await prepare()
    run.progress.setPhase('uploading')
    const uploaded = await run.guard(run.uploads.finish())
    const sealed = await sealing
    const stack = await run.guard(squashChain(run, stackOf(run, base, uploaded), { base, sealed }))
    const image = await publish(run, { stack, taken })
    const { takenAtMs } = taken
    await keepIndex(run, { sealed, stack, created: createdOf(run, taken), takenAtMs, report })
    const totalMs = systemClock.monotonicMs() - attempt.startMs
    return describeCapture(run, { stack, image, taken, report, totalMs, whyWalk: await run.watch.whyWalk() })
  } catch (error) {
    if (run.mode.mode === 'delta' && error instanceof AppError && error.code === 'blob_missing') return CHAIN_LOST
    throw error
  } finally {
    await preparing?.catch(() => {}) // it works in the spool, which goes with the capture
  }
}

function readPasses(run: OpenCapture, prepare: () => Promise<unknown>): Promise<PassesResult> {
  const { source, options, reader, freezer, spool, uploads, progress, maxFreezeMs } = run
  return runPasses({
    reader,
    freezer,
    sync: (limitMs) => syncFileSystem(source.upperdir, limitMs),
    clock: systemClock,
    maxFreezeMs,
    singlePass: options.singlePass,
    isDelta: run.mode.mode === 'delta',
    isUnfrozen: source.init !== undefined && !options.freeze,
    assertStopped: async () => source.assertStopped?.(run.signal),
    alongside: prepare,
    watch: () => run.watch.changes(),
    roomBytes: (tailBytes) => spool.roomBytes(tailBytes),
    makeRoom: () => uploads.release((frames) => spool.releaseFrames(frames)),
    reserveTail: (bytes) => spool.reserveTail(bytes),
    quietUploads: () => uploads.quiet(),
    resumeUploads: () => uploads.resume(),
    onPass: (pass, phase) => progress.startPass(pass, phase),
    onTaken: options.onTaken,
    onEvent: (event) => {
      if (event.event === 'frame') spool.growFrames(event.offset + event.size)
      if (event.event === 'frame' || event.event === 'layer') uploads.onEvent(event)
      progress.onEvent(event)
    },
  })
}
