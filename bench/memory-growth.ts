/**
 * `npm run bench:memory -- [--scale 1] [--engine docker20] [--runs 1] [--json FILE] [--write FILE]`: the most memory that
 * all processes of a snapshot have together, by bytes and by files.
 */
import type { Container } from '#lab/container.ts'
import { REFERENCE_FILES } from '#lab/tree.ts'
import { addLargeFiles, addSmallFiles, addTree, change, removeLargeFiles, SMALL_CHANGE } from './grow.ts'
import type { Place } from './place.ts'
import type { Measured } from './row.ts'
import { saveDelta, saveFull } from './save.ts'
import { Collected, countOf, runSeries, type Growth } from './series.ts'
import type { SeriesOptions } from './series-options.ts'

const FEW_FILES = 10_000
const MOST_FILES = 1_000_000
const KINDS = ['full', 'delta']

await runSeries({
  name: 'memory',
  heading: '## Memory',
  description:
    'The most that all processes of a snapshot have together (PSS, looked at each 50 ms), of a full one and of the second one after it (100 files, 10 MB changed), pushed. 20 GB are W and 18 sparse files of 1 GB; 1 000 000 files are W and files that hold next to nothing.',
  runs: 1,
  measure,
})

async function measure(place: Place, options: SeriesOptions, onStep: (text: string) => void): Promise<Growth> {
  const { scale, runs } = options
  const byBytes = new Collected()
  const byFiles = new Collected()
  const entries = (count: number) => Math.round(count * scale)
  const container = await place.start()
  const rounds = async (what: string, take: Take) => {
    for (let run = 1; run <= runs; run++) {
      onStep(`${what}, ${run} of ${runs}`)
      await peaks(place, container, take)
    }
  }
  const few = await addTree(container, entries(FEW_FILES))
  await rounds(`${countOf(few.files)} files`, (kind, bytes) => byFiles.add(kind, few.files, bytes))
  const more = await addTree(container, entries(REFERENCE_FILES) - few.files)
  const bytes = few.bytes + more.bytes
  await rounds('W', (kind, peak) => {
    byFiles.add(kind, entries(REFERENCE_FILES), peak)
    byBytes.add(kind, toGb(bytes), peak)
  })
  const large = addLargeFiles(container, scale)
  await rounds('ten times the bytes', (kind, peak) => byBytes.add(kind, toGb(bytes + large), peak))
  removeLargeFiles(container)
  onStep('making more files')
  await addSmallFiles(container, entries(MOST_FILES) - entries(REFERENCE_FILES))
  await rounds(`${countOf(entries(MOST_FILES))} files`, (kind, peak) => byFiles.add(kind, entries(MOST_FILES), peak))
  return growthOf(byBytes, byFiles, entries)
}

function toGb(bytes: number): number {
  return Number((bytes / 1e9).toPrecision(2))
}

type Take = (kind: string, peakBytes: number) => void

async function peaks(place: Place, container: Container, take: Take): Promise<void> {
  change(container, SMALL_CHANGE)
  const full = await saveFull(place, container, { watchesMemory: true })
  take('full', full.memory!.peakBytes)
  change(container, SMALL_CHANGE)
  const delta = await saveDelta(place, container, { watchesMemory: true })
  take('delta', delta.memory!.peakBytes)
}

function growthOf(byBytes: Collected, byFiles: Collected, entries: (count: number) => number): Growth {
  const isKind = (series: string) => KINDS.includes(series)
  const row = (figure: string, values: readonly number[], most: number): Measured => {
    const limit = { kind: 'value', number: most, ...(most === 450 && { aim: 300 }) } as const
    return { figure, unit: 'MB', values, limit }
  }
  const bytes = byBytes.points(isKind)
  const files = byFiles.points(isKind)
  const others = files.filter(({ x }) => x !== entries(REFERENCE_FILES))
  return {
    measured: [
      ...bytes.map(({ series, x, values }) => row(`${x} GB in W's files, ${series}`, values, 450)),
      ...others.map(({ series, x, values }) => {
        return row(`${countOf(x)} files, ${series}`, values, x > entries(REFERENCE_FILES) ? 700 : 450)
      }),
    ],
    charts: [
      {
        name: 'memory-by-size',
        title: 'The most memory by bytes',
        xLabel: "GB in W's files",
        yLabel: 'MB',
        points: byBytes.points(isKind, 1e-6),
      },
      {
        name: 'memory-by-files',
        title: 'The most memory by files',
        xLabel: 'files in the upperdir',
        yLabel: 'MB',
        points: byFiles.points(isKind, 1e-6),
      },
    ],
  }
}
