import { median } from './statistics.ts'

/** What was measured at one place. */
export interface Point {
  readonly series: string
  readonly x: number
  /** One number a run. */
  readonly values: readonly number[]
}

/** A chart: a dot for each number, a line through the medians of each series. */
export interface Chart {
  /** Of its file, without the ending. */
  readonly name: string
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  /** Steps of ten, with 0 one step before the least; default from 0 on, evenly. */
  readonly hasLogX?: boolean
  readonly points: readonly Point[]
}

const WIDTH = 720
const HEIGHT = 400
const PLOT = { left: 70, right: 540, top: 50, bottom: 340 } as const
// Told apart by the colour-blind, too (Okabe and Ito).
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']

interface Axis {
  readonly ticks: readonly number[]
  /** From 0 to 1. */
  place(value: number): number
}

/** A chart as SVG. */
export function plot(chart: Chart): string {
  const { points } = chart
  const xs = points.map(({ x }) => x)
  const xAxis = chart.hasLogX ? logAxis(xs) : linearAxis(Math.max(...xs))
  const yAxis = linearAxis(Math.max(...points.flatMap(({ values }) => values)))
  const x = (value: number) => fixed(PLOT.left + xAxis.place(value) * (PLOT.right - PLOT.left))
  const y = (value: number) => fixed(PLOT.bottom - yAxis.place(value) * (PLOT.bottom - PLOT.top))
  const names = [...new Set(points.map(({ series }) => series))]
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    text(chart.title, { x: PLOT.left, y: 28, more: 'font-size="15"' }),
    ...xAxis.ticks.map((tick) => text(label(tick), { x: x(tick), y: PLOT.bottom + 18, more: MIDDLE })),
    ...yAxis.ticks.flatMap((tick) => [
      `<line x1="${PLOT.left}" y1="${y(tick)}" x2="${PLOT.right}" y2="${y(tick)}" stroke="#ddd"/>`,
      text(label(tick), { x: PLOT.left - 8, y: Number(y(tick)) + 4, more: 'text-anchor="end"' }),
    ]),
    `<path d="M${PLOT.left} ${PLOT.top}V${PLOT.bottom}H${PLOT.right}" fill="none" stroke="#333"/>`,
    text(chart.xLabel, { x: (PLOT.left + PLOT.right) / 2, y: PLOT.bottom + 42, more: MIDDLE }),
    text(chart.yLabel, { x: PLOT.left, y: PLOT.top - 6, more: 'fill="#555"' }),
    ...names.flatMap((name, number) => {
      const colour = COLOURS[number % COLOURS.length]!
      const own = points.filter(({ series }) => series === name).toSorted((a, b) => a.x - b.x)
      const line = own.map(({ x: at, values }) => `${x(at)},${y(median(values))}`).join(' ')
      return [
        `<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...own.flatMap(({ x: at, values }) =>
          values.map((value) => `<circle cx="${x(at)}" cy="${y(value)}" r="3" fill="${colour}"/>`),
        ),
        text(name, { x: PLOT.right + 14, y: PLOT.top + 10 + number * 20, more: `fill="${colour}"` }),
      ]
    }),
    '</svg>',
  ].join('\n')}\n`
}

const MIDDLE = 'text-anchor="middle"'

interface TextPlace {
  readonly x: number | string
  readonly y: number
  readonly more: string
}

function text(words: string, { x, y, more }: TextPlace): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `<text x="${x}" y="${y}" ${more}>${escaped}</text>`
}

/** From 0 to a round number not below `most`, in four to ten steps of 1, 2 or 5. */
function linearAxis(most: number): Axis {
  const end = most > 0 ? most : 1
  const power = 10 ** Math.floor(Math.log10(end))
  const step = [0.1, 0.2, 0.5, 1].map((size) => size * power).find((size) => end / size <= 10)!
  const count = Math.ceil(end / step - 1e-9)
  const ticks = Array.from({ length: count + 1 }, (_, number) => Number((number * step).toPrecision(12)))
  return { ticks, place: (value) => value / (count * step) }
}

/** A tick at each place that was measured. */
function logAxis(xs: readonly number[]): Axis {
  const ticks = [...new Set(xs)].toSorted((a, b) => a - b)
  const least = Math.log10(ticks.find((tick) => tick > 0) ?? 1)
  const log = (value: number) => (value > 0 ? Math.log10(value) : least - 1)
  const from = log(ticks[0]!)
  const span = log(ticks.at(-1)!) - from
  return { ticks, place: (value) => (span === 0 ? 0.5 : (log(value) - from) / span) }
}

const label = (value: number) => value.toLocaleString('en', { maximumSignificantDigits: 4 })
const fixed = (value: number) => value.toFixed(1)
