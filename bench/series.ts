import { writeFileSync } from 'node:fs'
import { writeCharts, writeSection } from './document.ts'
import { describeMachine, thisMachine } from './machine.ts'
import { withPlace, type Place } from './place.ts'
import type { Chart, Point } from './plot.ts'
import { scaleNote } from './report.ts'
import { rowOf, summaryOf, tableOf, type Measured } from './row.ts'
import { run, type OnStep } from './run.ts'
import { parseSeriesOptions, type SeriesOptions } from './series-options.ts'

/** What a measurement of growth has found. */
export interface Growth {
  readonly measured: readonly Measured[]
  readonly charts: readonly Chart[]
}

/** A measurement of growth: how something changes with the size of something else. */
export interface Series {
  /** Of the npm script: `bench:NAME`. */
  readonly name: 'delta' | 'freeze' | 'memory' | 'scale'
  readonly heading: string
  /** What is measured, and how, in a few sentences. */
  readonly description: string
  readonly runs: number
  measure(place: Place, options: SeriesOptions, onStep: OnStep): Promise<Growth>
}

/** Run a measurement as its command line says: a table on standard output, JSON, a section with charts in a document. */
export async function runSeries({ name, heading, description, runs, measure }: Series): Promise<void> {
  const args = process.argv.slice(2)
  await run(async (onStep) => {
    const options = parseSeriesOptions(args, runs)
    const machine = thisMachine(`bench:${name}`, args)
    onStep(`${options.engine}: starting`)
    const { measured, charts } = await withPlace(options.engine, (place) => measure(place, options, onStep))
    const rows = measured.map(rowOf)
    const summary = `${summaryOf(rows)}${scaleNote(options.scale)}`
    const parts = [heading, `${description} ${describeMachine(machine)}`, summary, tableOf(rows)]
    console.log(`\n${parts.join('\n\n')}\n`)
    const { jsonPath, writePath, scale, engine } = options
    if (jsonPath !== undefined)
      writeFileSync(jsonPath, `${JSON.stringify({ machine, engine, scale, rows, measured, charts }, null, 2)}\n`)
    if (writePath !== undefined)
      writeSection(writePath, heading, [...parts, writeCharts(writePath, charts)].join('\n\n'))
  })
}

/** Numbers by name and size, as they come in. */
export class Collected {
  readonly #values = new Map<string, Point & { readonly values: number[] }>()

  add(series: string, x: number, value: number): void {
    const key = `${x} ${series}`
    const point = this.#values.get(key)
    if (point) point.values.push(value)
    else this.#values.set(key, { series, x, values: [value] })
  }

  /** Those of some series, in the order in which they came first; `scale` changes the unit. */
  points(wanted: (series: string) => boolean, scale = 1): readonly Point[] {
    return [...this.#values.values()]
      .filter(({ series }) => wanted(series))
      .map(({ series, x, values }) => ({ series, x, values: values.map((value) => value * scale) }))
  }

  /** Of one series at one place; throws nothing: none is an empty list. */
  values(series: string, x: number): readonly number[] {
    return this.#values.get(`${x} ${series}`)?.values ?? []
  }
}

/** A count as people write it: 130 000. */
export function countOf(number: number): string {
  return Math.round(number).toLocaleString('en').replaceAll(',', ' ')
}
