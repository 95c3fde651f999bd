import { AppError } from '#base/errors.ts'
import { MEDIA_TYPES } from '#oci/descriptor.ts'
import { loadIsal } from '#posix/isal.ts'
import type { CodecChoice } from './codec.ts'
import type { CaptureOptions } from './result.ts'

export interface ChosenCodec {
  readonly choice: CodecChoice
  readonly mediaType: string
  readonly warnings: readonly string[]
}

/** ISA-L has these levels; beyond, zlib compresses better and much slower. */
const ISAL_LEVELS = [1, 2]
const ZLIB_MOST = 9
const ZSTD_MOST = 19

/**
 * How the layers of a capture are compressed (design.md §4.4): gzip that every engine reads, by ISA-L, unless every host is
 * known to read zstd. Throws `usage_invalid` for a level that the codec does not have.
 */
export function chooseCodec(options: Pick<CaptureOptions, 'compression' | 'level' | 'zstdEverywhere'>): ChosenCodec {
  const { compression, level } = options
  const kind = compression === 'auto' ? (options.zstdEverywhere ? 'zstd' : 'gzip') : compression
  if (kind === 'none') {
    if (level !== undefined)
      throw new AppError('usage_invalid', '--level says how hard to compress: leave it out with --compression none.')
    return { choice: { name: 'none', level: 0 }, mediaType: MEDIA_TYPES.ociLayer, warnings: [] }
  }
  requireLevel(kind, level)
  if (kind === 'zstd')
    return { choice: { name: 'zstd', level: level ?? 1 }, mediaType: MEDIA_TYPES.ociLayerZstd, warnings: [] }
  return { ...chooseGzip(level ?? 1), mediaType: MEDIA_TYPES.ociLayerGzip }
}

function requireLevel(kind: 'gzip' | 'zstd', level: number | undefined): void {
  const most = kind === 'gzip' ? ZLIB_MOST : ZSTD_MOST
  if (level === undefined || (Number.isInteger(level) && level >= 1 && level <= most)) return
  throw new AppError('usage_invalid', `--level ${level} is not a level of ${kind}: use 1 to ${most}.`)
}

function chooseGzip(level: number): Pick<ChosenCodec, 'choice' | 'warnings'> {
  if (!ISAL_LEVELS.includes(level)) return { choice: { name: 'zlib', level }, warnings: [] }
  if (loadIsal(level === 2 ? 2 : 1)) return { choice: { name: 'isal', level }, warnings: [] }
  return {
    choice: { name: 'zlib', level },
    warnings: [
      'ISA-L is not installed, so compression takes about four times the CPU: apt-get install libisal2 (or the isa-l package).',
    ],
  }
}
