import type { IdRange } from '#overlay/id-map.ts'
import type { OverlayPrefix } from '#overlay/xattrs.ts'
import type { Details, ErrorCode } from '#base/errors.ts'
import type { CodecChoice } from '#snapshot/codec.ts'
import type { TailItem } from './copy-tail.ts'
import type { KeptEntry } from './encode.ts'
import type { Root } from './jail.ts'
import type { RowsBuffers } from './rows.ts'
import type { WalkOptions, WalkResult } from './walk.ts'
import type { QueueBuffers } from './work-queue.ts'

/** What a worker thread is started with. */
export interface WorkerInit {
  readonly rows: RowsBuffers
  readonly queue: QueueBuffers
  /** One 64-bit counter: where the next frame goes in the spool. */
  readonly spoolEnd: SharedArrayBuffer
  readonly codec: CodecChoice
  readonly overlayPrefix: OverlayPrefix
  readonly uidMap: readonly IdRange[]
  readonly gidMap: readonly IdRange[]
}

export type WorkerRequest =
  | { readonly type: 'seal'; readonly root: Root }
  | { readonly type: 'walk'; readonly options: WalkOptions }
  | {
      readonly type: 'encode'
      /** Which of the worker's raw buffers to fill: the main thread still hashes others. */
      readonly slot: number
      readonly ops: Float64Array
      readonly isLast: boolean
      readonly checksAfterRead: boolean
      /** Ops of later segments: their files are fetched from the disk meanwhile. */
      readonly ahead: readonly Float64Array[]
      readonly kept?: ReadonlyMap<number, KeptEntry>
    }
  | { readonly type: 'copy'; readonly items: readonly TailItem[] }

/** A segment: its tar in the slot's buffer, its frame in the spool. */
export interface EncodedReply {
  readonly type: 'encoded'
  readonly buffer: SharedArrayBuffer
  readonly rawBytes: number
  readonly offset: number
  readonly size: number
  readonly torn: readonly number[]
  readonly absent: readonly number[]
  readonly leftOut: readonly (readonly [row: number, what: string])[]
  readonly unmappedIds: number
}

export type WorkerReply =
  | { readonly type: 'ready' }
  | { readonly type: 'sealed' }
  | { readonly type: 'walked'; readonly result: WalkResult }
  | EncodedReply
  | { readonly type: 'copied'; readonly entries: readonly (readonly [number, KeptEntry])[] | undefined }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string; readonly details: Details }
