import type { MemoryReport } from './memory.ts'

/** Everything that is measured, by name, one number a run. Times in milliseconds, sizes in bytes. */
const NAMES = [
  'commitMs',
  'tarMs',
  'pushedMs',
  'layoutMs',
  'zstdMs',
  'previewMs',
  'findMs',
  'coldMs',
  'coldTarMs',
  'deltaMs',
  'deltaWalkMs',
  'deltaFindMs',
  'deltaWalkGapMs',
  'deltaTracepointsGapMs',
  'deltaFrozenMs',
  'deltaIdleGapMs',
  'podmanMs',
  'walkGapMs',
  'tracepointsGapMs',
  'idleGapMs',
  'frozenMs',
  'barrierMs',
  'smallWalkGapMs',
  'smallTracepointsGapMs',
  'smallIdleGapMs',
  'smallFrozenMs',
  'smallBarrierMs',
  'memoryBytes',
  'largeMemoryBytes',
  'gzipBytes',
  'zstdBytes',
  'dockerBytes',
] as const
export type SampleName = (typeof NAMES)[number]

/** The numbers of one engine, as they come in. */
export class Samples {
  readonly values = Object.fromEntries(NAMES.map((name) => [name, []])) as unknown as Readonly<
    Record<SampleName, number[]>
  >
  /** Of the full snapshot in which memory was watched; the last one. */
  memory: MemoryReport | undefined
  /** A sentence for each other engine that was looked for. */
  peers: readonly string[] = []

  add(numbers: Partial<Readonly<Record<SampleName, number>>>): void {
    for (const [name, value] of Object.entries(numbers)) this.values[name as SampleName].push(value)
  }
}
