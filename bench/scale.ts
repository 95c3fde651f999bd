/**
 * `npm run bench:scale -- [--scale 1] [--engine docker20] [--runs 1] [--json FILE] [--write FILE]`: how the cost of a full
 * and of a second snapshot grows with the bytes, from 0.1 to 20 GB and 1 000 000 files. Scale 1 needs 40 GB of disk.
 */
import type { Container } from '#lab/container.ts'
import { addTree, change, SMALL_CHANGE } from './grow.ts'
import type { Place } from './place.ts'
import type { Measured } from './row.ts'
import { saveDelta, saveFull } from './save.ts'
import { Collected, countOf, runSeries, type Growth } from './series.ts'
import type { SeriesOptions } from './series-options.ts'

/** 0.1, 0.5, 2.6, 8 and 20 GB. */
const FILES = [5_000, 25_000, 130_000, 400_000, 1_000_000]
const BYTES_PER_FILE = 20_000
/** What the others are compared with: that of W. */
const REFERENCE = FILES[2]!

await runSeries({
  name: 'scale',
  heading: '## Growth',
  description:
    'A full snapshot and the second one after it (100 files, 10 MB changed), pushed, of the same kind of files as W, by their bytes. CPU seconds for each GB are those of all our processes, of what is more than in the smallest: its own are the start of the programs and the compilation of their code, too.',
  runs: 1,
  measure,
})

async function measure(place: Place, options: SeriesOptions, onStep: (text: string) => void): Promise<Growth> {
  const { scale, runs } = options
  const collected = new Collected()
  const sizes = FILES.map((files) => Math.round(files * scale))
  const container = await place.start()
  let made = 0
  for (const files of sizes) {
    onStep(`making ${countOf(files)} files`)
    await addTree(container, files - made)
    made = files
    for (let run = 1; run <= runs; run++) {
      onStep(`${gbOf(files)} GB, ${run} of ${runs}`)
      await costs(place, container, (series, value) => collected.add(series, gbOf(files), value))
    }
  }
  return growthOf(collected, sizes, gbOf(REFERENCE * scale))
}

function gbOf(files: number): number {
  return Number(((files * BYTES_PER_FILE) / 1e9).toPrecision(3))
}

type Take = (series: string, value: number) => void

async function costs(place: Place, container: Container, take: Take): Promise<void> {
  change(container, SMALL_CHANGE)
  const full = await saveFull(place, container, { watchesMemory: true })
  take('full', full.ms)
  take('full: CPU', full.cpuSeconds!)
  take('full: memory', full.memory!.peakBytes)
  change(container, SMALL_CHANGE)
  const delta = await saveDelta(place, container, { watchesMemory: true })
  take('delta', delta.ms)
  take('delta: memory', delta.memory!.peakBytes)
}

function growthOf(collected: Collected, sizes: readonly number[], referenceGb: number): Growth {
  const gigabytes = sizes.map(gbOf)
  const [least = 0, ...larger] = gigabytes
  const start = collected.values('full: CPU', least)
  const perGb = (gb: number) =>
    collected.values('full: CPU', gb).map((seconds, i) => (seconds - start[i]!) / (gb - least))
  const most = Math.max(...gigabytes)
  const memoryRow = (kind: 'full' | 'delta'): Measured => ({
    figure: `peak memory, ${countOf(sizes.at(-1)!)} files, ${kind}`,
    unit: 'MB',
    values: collected.values(`${kind}: memory`, most),
    limit: { kind: 'value', number: 700 },
  })
  const timeRows = (kind: 'full' | 'delta'): readonly Measured[] =>
    gigabytes.map((gb) => ({ figure: `${kind}, ${gb} GB`, unit: 's', values: collected.values(kind, gb) }))
  return {
    measured: [
      ...timeRows('full'),
      ...larger.map((gb) => {
        const row: Measured = { figure: `full, CPU, ${gb} GB`, unit: 's/GB', values: perGb(gb) }
        if (gb === referenceGb) return row
        const to = { name: `that at ${referenceGb} GB`, values: perGb(referenceGb) }
        return { ...row, to, limit: { kind: 'ratio', number: 1.15 } as const }
      }),
      ...timeRows('delta'),
      memoryRow('full'),
      memoryRow('delta'),
    ],
    charts: [
      {
        name: 'time-by-size',
        title: 'A full and a second snapshot by size',
        xLabel: 'GB in the upperdir',
        yLabel: 'seconds',
        points: collected.points((series) => series === 'full' || series === 'delta', 1e-3),
      },
      {
        name: 'cpu-by-size',
        title: 'CPU seconds of a full snapshot by size',
        xLabel: 'GB in the upperdir',
        yLabel: 'CPU seconds',
        points: collected.points((series) => series === 'full: CPU'),
      },
    ],
  }
}
