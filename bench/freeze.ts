/**
 * `npm run bench:freeze -- [--scale 1] [--engine docker20] [--runs 3] [--json FILE] [--write FILE]`: how long a process in
 * the container stands still, by how much is written meanwhile and by how many files there are.
 */
import type { Container } from '#lab/container.ts'
import { REFERENCE_FILES } from '#lab/tree.ts'
import { FREEZE_LIMITS } from './figures.ts'
import { addSmallFiles, addTree } from './grow.ts'
import { USUAL_RATE } from './heartbeat.ts'
import type { Place } from './place.ts'
import type { Point } from './plot.ts'
import type { Limit, Measured } from './row.ts'
import { save, saveFull, seeFreezes } from './save.ts'
import { Collected, countOf, runSeries, type Growth } from './series.ts'
import type { SeriesOptions } from './series-options.ts'

const RATES = [0, 20e6, 100e6]
const FEW_FILES = 10_000
const MANY_FILES = 500_000
const IDLE_MS = 500

await runSeries({
  name: 'freeze',
  heading: '## The freeze',
  description:
    'The longest silence of a process in the container that notes the time each millisecond, during a full snapshot and the second one after it, pushed; while another process writes new files of 4 MB. By how the changes were found: by a walk over the tree, or by the ctime tracepoints of the kernel.',
  runs: 3,
  measure,
})

async function measure(place: Place, options: SeriesOptions, onStep: (text: string) => void): Promise<Growth> {
  const { scale, runs } = options
  const byRate = new Collected()
  const byFiles = new Collected()
  const entries = (count: number) => Math.round(count * scale)
  const container = await place.start()
  const rounds = async (what: string, bytesPerSecond: number, take: Take) => {
    for (let run = 1; run <= runs; run++) {
      onStep(`${what}, ${run} of ${runs}`)
      await freezes(place, container, bytesPerSecond, take)
    }
  }
  await addTree(container, entries(FEW_FILES))
  await rounds(`${countOf(entries(FEW_FILES))} files`, USUAL_RATE, (series, ms) => {
    byFiles.add(series, entries(FEW_FILES), ms)
  })
  await addTree(container, entries(REFERENCE_FILES) - entries(FEW_FILES))
  for (const rate of RATES) {
    await rounds(`${rate / 1e6} MB/s`, rate, (series, ms) => {
      byRate.add(series, rate / 1e6, ms)
      if (rate === USUAL_RATE) byFiles.add(series, entries(REFERENCE_FILES), ms)
    })
  }
  await addSmallFiles(container, entries(MANY_FILES) - entries(REFERENCE_FILES))
  await rounds(`${countOf(entries(MANY_FILES))} files`, USUAL_RATE, (series, ms) => {
    byFiles.add(series, entries(MANY_FILES), ms)
  })
  return growthOf(byRate, byFiles, entries)
}

type Take = (series: string, gapMs: number) => void

async function freezes(place: Place, container: Container, bytesPerSecond: number, take: Take): Promise<void> {
  // The second is full where much of what the first holds has been deleted since (design.md §4.9).
  const saves = [() => saveFull(place, container), () => save(place, container)]
  const seen = await seeFreezes(place, container, { bytesPerSecond, idleMs: IDLE_MS }, saves)
  for (const { gapMs, result } of seen) take(`${result.mode}, by ${result.freezeMethod}`, gapMs)
}

function growthOf(byRate: Collected, byFiles: Collected, entries: (count: number) => number): Growth {
  const rates = byRate.points(() => true)
  const files = byFiles.points(() => true)
  const rateRow = (point: Point): Measured => {
    const isPromised = point.x === USUAL_RATE / 1e6
    const limit = isPromised ? limitFor(point.series, false) : undefined
    return { figure: `W, ${point.x} MB/s written, ${point.series}`, unit: 'ms', values: point.values, limit }
  }
  const fileRow = ({ series, x, values }: Point): Measured => {
    // A walk was promised to be short for W and for few files.
    const limit =
      x > entries(REFERENCE_FILES) && isWalk(series) ? undefined : limitFor(series, x === entries(FEW_FILES))
    return { figure: `${countOf(x)} files, 20 MB/s written, ${series}`, unit: 'ms', values, limit }
  }
  const more = files.filter(({ x }) => x !== entries(REFERENCE_FILES))
  const yLabel = 'longest silence inside, ms'
  return {
    measured: [...rates.map(rateRow), ...more.map(fileRow)],
    charts: [
      {
        name: 'freeze-by-write-rate',
        title: 'The freeze of W by what is written meanwhile',
        xLabel: 'MB written in a second',
        yLabel,
        points: rates,
      },
      {
        name: 'freeze-by-files',
        title: 'The freeze by the number of files, 20 MB/s written',
        xLabel: 'files in the upperdir',
        yLabel,
        points: files,
      },
    ],
  }
}

function isWalk(series: string): boolean {
  return series.endsWith('by walk')
}

function limitFor(series: string, isOfFew: boolean): Limit {
  if (!isWalk(series)) return FREEZE_LIMITS.tracepoints
  return isOfFew ? FREEZE_LIMITS.walkOfFew : FREEZE_LIMITS.walk
}
