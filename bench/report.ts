import type { EngineName } from '#lab/engine.ts'
import type { Tree } from '#lab/tree.ts'
import { rowsOf } from './figures.ts'
import { describeMachine, type Machine } from './machine.ts'
import type { MemoryReport } from './memory.ts'
import type { BenchOptions } from './options.ts'
import { summaryOf, tableOf, withUnit } from './row.ts'
import type { SampleName, Samples } from './samples.ts'
import { median } from './statistics.ts'

/** What was measured on one engine. */
export interface EngineReport {
  readonly engine: EngineName
  readonly version: string
  readonly tree: Tree
  readonly samples: Samples
  readonly machine: Machine
}

/** Of an engine's section in the document. */
export function headingOf(engine: EngineName): string {
  return `## ${engine}`
}

/** The table of one engine and what is needed to understand it and to make it again, as Markdown. */
export function describeEngine(report: EngineReport, options: BenchOptions): string {
  const { engine, version, tree, samples, machine } = report
  const rows = rowsOf(samples, engine)
  const files = `${tree.files.toLocaleString('en')} files, ${(tree.bytes / 1e9).toPrecision(2)} GB`
  return [
    headingOf(engine),
    `Docker ${version}, ${files}. ${describeMachine(machine)}`,
    `${summaryOf(rows)}${scaleNote(options.scale)}`,
    tableOf(rows),
    ...notesOf(samples),
  ].join('\n\n')
}

/** What a scale other than 1 means for the promises. */
export function scaleNote(scale: number): string {
  return scale === 1 ? '' : ` The promises are for scale 1; this is scale ${scale}.`
}

function notesOf({ values, memory, peers }: Samples): readonly string[] {
  const middle = (name: SampleName, unit: 's' | 'ms' | 'MB') => withUnit(median(values[name]), unit)
  const freeze = (what: string, names: readonly SampleName[]) => {
    const [frozen, barrier, idle] = names.map((name) => middle(name, 'ms'))
    return `- ${what}: \`frozenMs\` ${frozen}, \`barrierMs\` ${barrier}; without a snapshot the longest silence of the machine was ${idle}`
  }
  return [
    'What it is compared with (medians):',
    [
      `- \`docker commit && docker push\`: ${middle('commitMs', 's')}, layer ${middle('dockerBytes', 'MB')}`,
      `- \`tar | zstd -1 -T2 | sha256sum\`: ${middle('tarMs', 's')}`,
      `- \`find -printf\`: ${middle('findMs', 's')}`,
      ...(values.coldTarMs.length > 0
        ? [`- cold \`tar | zstd -1 -T2 | sha256sum\`: ${middle('coldTarMs', 's')}, \`drop_caches\` before each`]
        : []),
      ...(values.podmanMs.length > 0 ? [`- \`podman commit && podman push\`: ${middle('podmanMs', 's')}`] : []),
      ...peers.map((note) => `- ${note}`),
    ].join('\n'),
    'The freeze (medians):',
    [
      freeze('W', ['frozenMs', 'barrierMs', 'idleGapMs']),
      freeze('10 000 files', ['smallFrozenMs', 'smallBarrierMs', 'smallIdleGapMs']),
      `- second snapshot, nothing else written: \`frozenMs\` ${middle('deltaFrozenMs', 'ms')}; without a snapshot ${middle('deltaIdleGapMs', 'ms')}`,
    ].join('\n'),
    ...(memory ? ['Memory (PSS) and CPU of one full snapshot, default codec, pushed:', processesOf(memory)] : []),
  ]
}

function processesOf({ processes }: MemoryReport): string {
  const lines = processes.map(({ name, peakBytes, atPeakBytes, userSeconds, systemSeconds }) => {
    const bytes =
      peakBytes > 0 ? `${withUnit(peakBytes, 'MB')} at most, ${withUnit(atPeakBytes, 'MB')} at the peak; ` : ''
    return `- ${name}: ${bytes}${userSeconds.toFixed(2)} s user, ${systemSeconds.toFixed(2)} s system`
  })
  return lines.join('\n')
}
