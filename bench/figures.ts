import type { EngineName } from '#lab/engine.ts'
import { rowOf, type Limit, type Row, type Unit } from './row.ts'
import type { SampleName, Samples } from './samples.ts'

interface Figure {
  readonly name: string
  readonly of: SampleName
  readonly to?: SampleName
  readonly unit: Unit
  readonly limit?: Limit
}

const OTHERS: Partial<Readonly<Record<SampleName, string>>> = {
  commitMs: 'docker commit && docker push',
  tarMs: 'tar | zstd -1 -T2 | sha256sum',
  coldTarMs: 'cold tar | zstd -1 -T2 | sha256sum',
  findMs: 'find -printf',
  deltaFindMs: 'find -printf',
  dockerBytes: "docker's layer",
  podmanMs: 'podman commit && podman push',
}
/** Docker 28 with the containerd store compresses with more than one thread. */
const TIMES_AS_FAST: Partial<Readonly<Record<EngineName, number>>> = { docker20: 12, docker28: 8 }

/** design.md §9: the freeze, by how the changes were found. */
export const FREEZE_LIMITS = {
  walk: { kind: 'value', number: 400, aim: 60 },
  walkOfFew: { kind: 'value', number: 100, aim: 60 },
  tracepoints: { kind: 'value', number: 100, aim: 60 },
} as const satisfies Record<string, Limit>

/** The promises of docs/design.md §9, as far as they are measured here. */
function figuresFor(engine: EngineName): readonly Figure[] {
  const pushed = { name: 'full snapshot, default codec, pushed', of: 'pushedMs', unit: 's' } as const
  const second = { name: 'second snapshot, 100 files of 10 MB changed', of: 'deltaMs', unit: 's' } as const
  const walked = { ...second, name: `${second.name}, by walk`, of: 'deltaWalkMs' } as const
  const limit = (kind: Limit['kind'], number: number, aim?: number) => ({
    limit: { kind, number, ...(aim !== undefined && { aim }) },
  })
  const frozen = (name: string, of: SampleName, limit: Limit) => ({ name, of, unit: 'ms', limit }) as const
  const { walk, walkOfFew, tracepoints } = FREEZE_LIMITS
  return [
    { ...pushed, to: 'commitMs', ...limit('faster', TIMES_AS_FAST[engine] ?? 8, 16) },
    { ...pushed, to: 'tarMs', ...limit('ratio', 1.15, 0.9) },
    { name: 'full snapshot to `oci:`', of: 'layoutMs', to: 'tarMs', unit: 's', ...limit('ratio', 0.9, 0.75) },
    { name: 'full snapshot, zstd level 1, pushed', of: 'zstdMs', to: 'tarMs', unit: 's' },
    { name: 'full snapshot, cold cache, pushed', of: 'coldMs', to: 'coldTarMs', unit: 's', ...limit('ratio', 0.6) },
    { ...pushed, to: 'podmanMs' },
    { ...second, to: 'commitMs', ...limit('faster', 60) },
    { ...second, to: 'deltaFindMs', ...limit('ratio', 4, 2.5) },
    { ...walked, to: 'commitMs', ...limit('faster', 60) },
    { ...walked, to: 'deltaFindMs', ...limit('ratio', 4, 2.5) },
    frozen('its freeze seen inside, by walk', 'deltaWalkGapMs', walk),
    frozen('its freeze seen inside, by tracepoints', 'deltaTracepointsGapMs', tracepoints),
    frozen('freeze seen inside, 20 MB/s written, W, by walk', 'walkGapMs', walk),
    frozen('freeze seen inside, 20 MB/s written, W, by tracepoints', 'tracepointsGapMs', tracepoints),
    frozen('freeze seen inside, 20 MB/s written, 10 000 files, by walk', 'smallWalkGapMs', walkOfFew),
    frozen('freeze seen inside, 20 MB/s written, 10 000 files, by tracepoints', 'smallTracepointsGapMs', tracepoints),
    { name: 'peak memory of all processes', of: 'memoryBytes', unit: 'MB', ...limit('value', 450, 300) },
    { name: 'peak memory with ten times the bytes', of: 'largeMemoryBytes', unit: 'MB', ...limit('value', 450, 300) },
    { name: 'image size, gzip', of: 'gzipBytes', to: 'dockerBytes', unit: 'MB', ...limit('ratio', 1.16) },
    { name: 'image size, zstd level 1', of: 'zstdBytes', to: 'dockerBytes', unit: 'MB', ...limit('ratio', 0.95) },
    { name: 'preview', of: 'previewMs', to: 'findMs', unit: 's', ...limit('ratio', 2) },
  ]
}

/** A row for each figure that was measured, and whose comparison was: medians, and whether they are what was promised. */
export function rowsOf({ values }: Samples, engine: EngineName): readonly Row[] {
  const wasMeasured = ({ of, to }: Figure) => values[of].length > 0 && (to !== 'podmanMs' || values[to].length > 0)
  return figuresFor(engine)
    .filter(wasMeasured)
    .map(({ name, of, to, unit, limit }) =>
      rowOf({
        figure: name,
        unit,
        values: values[of],
        ...(to && { to: { name: OTHERS[to] ?? to, values: values[to] } }),
        limit,
      }),
    )
}
