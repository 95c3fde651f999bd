import { dropCaches, find, preview, quietly, tarZstd, timed } from './commands.ts'
import type { Container } from '#lab/container.ts'
import { change, SMALL_CHANGE, addLargeFiles } from './grow.ts'
import { USUAL_RATE } from './heartbeat.ts'
import { cpuSecondsOf } from './memory.ts'
import type { BenchOptions } from './options.ts'
import { measurePeers, timeOfCommit } from './peers.ts'
import { Samples, type SampleName } from './samples.ts'
import { saveDelta, saveFull, seeFreezes, type SeenFreeze } from './save.ts'
import type { Subject } from './subject.ts'

const ZSTD = ['--compression', 'zstd', '--level', '1']
/** After as many snapshots the next one is full by itself (design.md §4.9); a round has four. */
const DELTA_ROUNDS_ON_A_FULL = 1

/** Measure everything: what is compared is measured in turn, in one run. `onStep` is told what comes next, and may throw. */
export async function measure(
  subject: Subject,
  options: BenchOptions,
  onStep: (text: string) => void,
): Promise<Samples> {
  const { runs, coldRuns, commitRuns } = options
  const samples = new Samples()
  const rounds = async (what: string, count: number, work: (run: number) => Promise<void>) => {
    for (let run = 1; run <= count; run++) {
      onStep(`${what} ${run} of ${count}`)
      await work(run)
    }
  }
  await rounds('round', runs, (run) => speedRound(subject, samples, run))
  await rounds('second snapshot', runs, (run) => deltaRound(subject, samples, run))
  await rounds('docker commit && docker push', commitRuns, () => commitRound(subject, samples))
  onStep('memory')
  await memoryRun(subject, samples)
  await rounds('freeze', runs, () => freezeRound(subject, samples))
  await rounds('cold cache', coldRuns, (run) => coldRound(subject, samples, run))
  if (options.hasPeers) {
    onStep('the other engines of this machine')
    const { notes, podmanMs } = await measurePeers(subject.target, subject.tree.files, commitRuns)
    samples.values.podmanMs.push(...podmanMs)
    samples.peers = notes
  }
  if (options.isLarge) {
    onStep('memory with ten times the bytes')
    addLargeFiles(subject.container, options.scale)
    const { memory } = await saveFull(subject, subject.container, { watchesMemory: true })
    samples.add({ largeMemoryBytes: memory!.peakBytes })
  }
  return samples
}

/** Every other round the other way round, so that a machine that gets slower or faster favours none. */
async function speedRound(subject: Subject, samples: Samples, run: number): Promise<void> {
  const { home, container, upperdir } = subject
  await inTurn(run, [
    async () => samples.add({ tarMs: await quietly(() => tarZstd(upperdir)) }),
    async () => {
      const { ms, result } = await saveFull(subject, container)
      samples.add({ pushedMs: ms, gzipBytes: result.compressedBytes })
    },
    async () => samples.add({ layoutMs: (await saveFull(subject, container, { toLayout: true })).ms }),
    async () => {
      const { ms, result } = await saveFull(subject, container, { args: ZSTD })
      samples.add({ zstdMs: ms, zstdBytes: result.compressedBytes })
    },
    async () => samples.add({ previewMs: await quietly(() => preview(home, container.id)) }),
    async () => samples.add({ findMs: await quietly(() => find(upperdir)) }),
  ])
}

async function inTurn(run: number, steps: readonly (() => Promise<void>)[]): Promise<void> {
  for (const step of run % 2 === 1 ? steps : steps.toReversed()) await step()
}

/** Where the kernel has the tracepoints, the way that other kernels have is measured too (docs/adr/0009). */
function byWalk(subject: Subject): Subject {
  const { home } = subject
  return { ...subject, home: { ...home, env: { ...home.env, TINTYPE_TRACEPOINTS: 'never' } } }
}

/** A change, a snapshot that is timed; the same again with a process inside that looks for the freeze. */
async function deltaRound(subject: Subject, samples: Samples, run: number): Promise<void> {
  const { container, upperdir } = subject
  if ((run - 1) % DELTA_ROUNDS_ON_A_FULL === 0) await saveFull(subject, container)
  await inTurn(run, [
    async () => {
      change(container, SMALL_CHANGE)
      samples.add({ deltaMs: (await saveDelta(subject, container)).ms })
    },
    async () => samples.add({ deltaFindMs: await quietly(() => find(upperdir)) }),
    async () => {
      change(container, SMALL_CHANGE)
      samples.add({ deltaWalkMs: (await saveDelta(byWalk(subject), container)).ms })
    },
  ])
  const changed = (place: Subject) => () => {
    change(container, SMALL_CHANGE)
    return saveDelta(place, container)
  }
  const saves = [changed(subject), changed(byWalk(subject))]
  const seen = await seeFreezes(subject, container, { bytesPerSecond: 0 }, saves)
  samples.add({ deltaFrozenMs: seen[0]!.result.frozenMs, deltaIdleGapMs: seen[0]!.idleMs })
  for (const each of seen) addGap(samples, each, { walk: 'deltaWalkGapMs', tracepoints: 'deltaTracepointsGapMs' })
}

/** Ways of finding the changes have promises of their own. */
function addGap(
  samples: Samples,
  { gapMs, result }: SeenFreeze,
  names: Readonly<Record<'walk' | 'tracepoints', SampleName>>,
): void {
  if (result.freezeMethod !== 'none') samples.add({ [names[result.freezeMethod]]: gapMs })
}

/** What users do without Tintype, on the same container. */
async function commitRound(subject: Subject, samples: Samples): Promise<void> {
  await subject.target.reset()
  const commitMs = await timeOfCommit(subject, subject.container)
  samples.add({ commitMs, dockerBytes: await subject.target.topLayerBytes('committed') })
}

async function memoryRun(subject: Subject, samples: Samples): Promise<void> {
  const { memory } = await saveFull(subject, subject.container, { watchesMemory: true })
  // `reset` has started the registry anew: all that it has used was for this snapshot.
  const [userSeconds, systemSeconds] = cpuSecondsOf(subject.target.registryPid())
  const registry = { name: 'the registry', peakBytes: 0, atPeakBytes: 0, userSeconds, systemSeconds }
  samples.add({ memoryBytes: memory!.peakBytes })
  samples.memory = { ...memory!, processes: [...memory!.processes, registry] }
}

async function freezeRound(subject: Subject, samples: Samples): Promise<void> {
  const { container, small } = subject
  const busy = { bytesPerSecond: USUAL_RATE }
  const bothWays = (of: Container) => [() => saveFull(subject, of), () => saveFull(byWalk(subject), of)]
  const seen = await seeFreezes(subject, container, busy, bothWays(container))
  const few = await seeFreezes(subject, small, busy, bothWays(small))
  const [first, firstOfFew] = [seen[0]!, few[0]!]
  samples.add({ idleGapMs: first.idleMs, frozenMs: first.result.frozenMs, barrierMs: first.result.barrierMs })
  for (const each of seen) addGap(samples, each, { walk: 'walkGapMs', tracepoints: 'tracepointsGapMs' })
  samples.add({
    smallIdleGapMs: firstOfFew.idleMs,
    smallFrozenMs: firstOfFew.result.frozenMs,
    smallBarrierMs: firstOfFew.result.barrierMs,
  })
  for (const each of few) addGap(samples, each, { walk: 'smallWalkGapMs', tracepoints: 'smallTracepointsGapMs' })
}

/** As after a restart of the machine. */
async function coldRound(subject: Subject, samples: Samples, run: number): Promise<void> {
  const { container, upperdir } = subject
  await inTurn(run, [
    async () => {
      await dropCaches()
      samples.add({ coldTarMs: await timed(() => tarZstd(upperdir)) })
    },
    async () => samples.add({ coldMs: (await saveFull(subject, container, { isCold: true })).ms }),
  ])
}
