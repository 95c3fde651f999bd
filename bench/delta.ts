/**
 * `npm run bench:delta -- [--scale 1] [--engine docker20] [--runs 3] [--json FILE] [--write FILE]`: what a second
 * snapshot takes, by how much has changed and by how much there is.
 */
import { upperdirOf, type Container } from '#lab/container.ts'
import { REFERENCE_FILES } from '#lab/tree.ts'
import { find, quietly } from './commands.ts'
import { addSmallFiles, addTree, change, SMALL_CHANGE, type Change } from './grow.ts'
import type { Place } from './place.ts'
import type { Measured } from './row.ts'
import { saveDelta, saveFull } from './save.ts'
import { Collected, countOf, runSeries, type Growth } from './series.ts'
import type { SeriesOptions } from './series-options.ts'

const CHANGED_FILES = [0, 100, 1_000, 10_000]
const CHANGED_BYTES = 20_000 // the mean of W
const FEW_ENTRIES = 10_000
const MANY_ENTRIES = 500_000
const DELTAS_ON_A_FULL = 6 // one fewer than would make the next one full (design.md §4.9)
const FIND = 'find -printf'

await runSeries({
  name: 'delta',
  heading: '## Second snapshots',
  description:
    'A second snapshot, pushed, after some files were written anew: in W by their number (20 kB each), then with the same change (100 files, 10 MB) by the number of entries in the upperdir. W has 2.6 GB; the other upperdirs hold next to nothing in as many files.',
  runs: 3,
  measure,
})

async function measure(place: Place, options: SeriesOptions, onStep: (text: string) => void): Promise<Growth> {
  const { scale, runs } = options
  const collected = new Collected()
  const entries = (count: number) => Math.round(count * scale)
  const container = await place.start()
  onStep('making W')
  await addTree(container, entries(REFERENCE_FILES))
  const changes = CHANGED_FILES.map((files) => ({ files: entries(files), bytesPerFile: CHANGED_BYTES }))
  change(container, changes.at(-1)!)
  for (let run = 1; run <= runs; run++) {
    onStep(`by change, ${run} of ${runs}`)
    await saveFull(place, container)
    for (const each of changes) await deltaOf(place, container, each, (ms) => collected.add('W', each.files, ms))
  }
  onStep('by entries: W')
  await byEntries(place, container, runs, (name, ms) => collected.add(`W: ${name}`, entries(REFERENCE_FILES), ms))
  const other = await place.start()
  let made = 0
  for (const count of [FEW_ENTRIES, REFERENCE_FILES, MANY_ENTRIES].map(entries)) {
    onStep(`by entries: ${countOf(count)}`)
    await addSmallFiles(other, count - made)
    made = count
    await byEntries(place, other, runs, (name, ms) => collected.add(name, count, ms))
  }
  return growthOf(collected, entries)
}

type Take = (ms: number) => void

async function deltaOf(place: Place, container: Container, what: Change, take: Take): Promise<void> {
  if (what.files > 0) change(container, what)
  take((await saveDelta(place, container)).ms)
}

async function byEntries(place: Place, container: Container, runs: number, take: (name: string, ms: number) => void) {
  const upperdir = upperdirOf(container.pid)
  for (let run = 0; run < runs; run++) {
    if (run % DELTAS_ON_A_FULL === 0) {
      change(container, SMALL_CHANGE)
      await saveFull(place, container)
    }
    await deltaOf(place, container, SMALL_CHANGE, (ms) => take('delta', ms))
    take(FIND, await quietly(() => find(upperdir)))
  }
}

function growthOf(collected: Collected, entries: (count: number) => number): Growth {
  const all = entries(REFERENCE_FILES)
  const byEntries = (prefix: string, what: string, count: number): Measured => ({
    figure: `100 files changed among ${countOf(count)}, ${what}`,
    unit: 's',
    values: collected.values(`${prefix}delta`, count),
    to: { name: FIND, values: collected.values(`${prefix}${FIND}`, count) },
    // Among few entries most of the time is the start of the programs: nothing is promised there.
    limit: count < all ? undefined : { kind: 'ratio', number: 4, aim: 2.5 },
  })
  return {
    measured: [
      ...collected
        .points((series) => series === 'W')
        .map(({ x, values }) => ({
          figure: `${countOf(x)} files changed in W`,
          unit: 's' as const,
          values,
        })),
      byEntries('W: ', 'W', all),
      ...[FEW_ENTRIES, REFERENCE_FILES, MANY_ENTRIES].map((count) => byEntries('', 'small files', entries(count))),
    ],
    charts: [
      {
        name: 'time-by-change',
        title: 'A second snapshot by what has changed',
        xLabel: 'files changed in W, 20 kB each',
        yLabel: 'seconds',
        hasLogX: true,
        points: collected.points((series) => series === 'W', 1e-3),
      },
      {
        name: 'time-by-entries',
        title: 'A second snapshot after the same small change by what there is',
        xLabel: 'entries in the upperdir',
        yLabel: 'seconds',
        points: collected.points((series) => series !== 'W', 1e-3),
      },
    ],
  }
}
