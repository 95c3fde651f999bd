import type { Clock } from '#base/clock.ts'
import type { Progress } from '#snapshot/result.ts'
import { formatBytes, formatCount, formatDuration } from './text.ts'
import type { Terminal } from './terminal.ts'

/** What the user sees while it goes on. */
export interface ProgressView {
  update(progress: Progress): void
  /** Leave the terminal as it was. */
  stop(): void
}

const REDRAW_MS = 100 // ten times a second: faster is only flicker
const LINE_MS = 5_000
const BAR = { min: 10, max: 30 } as const

/** A bar on a terminal, a line every few seconds elsewhere, nothing when quiet. */
export function openProgress(terminal: Terminal, clock: Clock, isQuiet: boolean): ProgressView {
  if (isQuiet) return { update: () => {}, stop: () => {} }
  return terminal.isInteractive ? openBar(terminal, clock) : openLines(terminal, clock)
}

function openBar(terminal: Terminal, clock: Clock): ProgressView {
  const meter = openMeter(clock)
  let isShown = false
  const draw = () => {
    const line = meter.line(terminal.columns() - 1) // the last column makes some terminals wrap
    if (line === undefined) return
    terminal.err(`\r${line}\x1b[K`)
    isShown = true
  }
  const timer = setInterval(draw, REDRAW_MS)
  timer.unref()
  return {
    update: meter.update,
    stop() {
      clearInterval(timer)
      if (isShown) terminal.err('\r\x1b[K')
    },
  }
}

function openLines(terminal: Terminal, clock: Clock): ProgressView {
  const meter = openMeter(clock)
  const print = () => {
    const line = meter.line(Number.POSITIVE_INFINITY)
    if (line !== undefined) terminal.err(`${line}\n`)
  }
  const timer = setInterval(print, LINE_MS)
  timer.unref()
  return { update: meter.update, stop: () => clearInterval(timer) }
}

/** The latest progress, and how fast its phase goes. */
function openMeter(clock: Clock) {
  let latest: Progress | undefined
  let began = { phase: '', pass: 0, ms: 0, bytes: 0 }
  return {
    update(progress: Progress): void {
      latest = progress
      if (progress.phase === began.phase && progress.pass === began.pass) return
      began = { phase: progress.phase, pass: progress.pass, ms: clock.monotonicMs(), bytes: doneBytes(progress) }
    },
    /** One line of at most `columns` characters, or undefined before the first progress. */
    line(columns: number): string | undefined {
      if (!latest) return undefined
      const seconds = (clock.monotonicMs() - began.ms) / 1000
      const bytesPerSecond = seconds > 0.5 ? (doneBytes(latest) - began.bytes) / seconds : 0
      return formatProgress(latest, bytesPerSecond, columns)
    },
  }
}

/** What the phase counts: the tar while it is made, then the compressed bytes on their way. */
const doneBytes = ({ phase, bytes, uploadedBytes }: Progress) => (phase === 'uploading' ? uploadedBytes : bytes)

const LABELS: Readonly<Record<Progress['phase'], string>> = {
  locating: 'Finding the container',
  reading: 'Reading',
  frozen: 'Frozen',
  uploading: 'Uploading',
  finishing: 'Finishing',
}

/** Progress as one line: what matters least is left out first when it would be longer than `columns`. */
export function formatProgress(progress: Progress, bytesPerSecond: number, columns: number): string {
  const { phase, pass, files, filesTotal, bytes, bytesTotal, uploadedBytes } = progress
  const label = pass > 1 && phase === 'reading' ? `${LABELS[phase]} (pass ${pass})` : LABELS[phase]
  if (phase === 'locating') return label.slice(0, columns)
  const share = bytesTotal !== undefined && bytesTotal > 0 ? Math.min(1, bytes / bytesTotal) : undefined
  const left =
    bytesTotal !== undefined && bytesPerSecond > 0 && phase === 'reading' ? (bytesTotal - bytes) / bytesPerSecond : 0
  const parts = [
    `${formatBytes(bytes)}${bytesTotal === undefined ? '' : ` of ${formatBytes(bytesTotal)}`}`,
    `${formatCount(files)}${filesTotal === undefined ? '' : ` of ${formatCount(filesTotal)}`} files`,
    `${formatBytes(uploadedBytes)} sent`,
    ...(bytesPerSecond > 0 ? [`${formatBytes(bytesPerSecond)}/s`] : []),
    ...(left > 0 ? [`${formatDuration(left * 1000)} left`] : []),
  ]
  const percent = share === undefined ? '' : ` ${String(Math.floor(share * 100)).padStart(3)} %`
  let line = label + percent
  for (const part of parts) {
    if (line.length + part.length + 3 > columns) break
    line += ` · ${part}`
  }
  return withBar(line, label, { share, columns }).slice(0, columns)
}

/** The bar between label and numbers, as wide as there is room. Lines that are read later (no width) need none. */
function withBar(
  line: string,
  label: string,
  { share, columns }: { readonly share: number | undefined; readonly columns: number },
) {
  const width = Math.min(BAR.max, columns - line.length - 3)
  if (share === undefined || width < BAR.min || columns === Number.POSITIVE_INFINITY) return line
  const filled = Math.round(share * width)
  return `${label} [${'#'.repeat(filled)}${'-'.repeat(width - filled)}]${line.slice(label.length)}`
}
