import { decimal, fields, flag, int32, int64, listed, said } from './schema.ts'
import { labels } from './shapes.ts'

/** A path in the container; one that is not UTF-8 is given by its bytes, in PathBase64 instead of Path. */
const path = () => ({ Path: said(), PathBase64: said() })
const paths = () => listed(fields(path()))
const skipped = () => listed(fields({ ...path(), Reason: said() }))
const sized = () => listed(fields({ ...path(), Bytes: int64(), Entries: int64() }))

/** What `tintype preview --json` prints, in the casing of the API. */
export const snapshotPreview = () =>
  fields({
    BaseReference: said(),
    Changed: fields({ Entries: int64(), RawBytes: int64() }),
    Entries: int64(),
    Excluded: sized(),
    InstanceId: said(),
    LargestDirectories: sized(),
    LargestFiles: listed(fields({ ...path(), Bytes: int64() })),
    LikelySecrets: paths(),
    Mode: said(),
    ModeReason: said(),
    RawBytes: int64(),
    Skipped: skipped(),
    Squash: fields({ Layers: int32(), Reason: said() }),
    TotalMs: int64(),
    UnsavedMounts: paths(),
    Warnings: listed(said()),
  })

/** How far a snapshot has come. */
const progress = () =>
  fields({
    Bytes: int64(),
    BytesPerSecond: int64(),
    BytesTotal: int64(),
    Files: int64(),
    FilesTotal: int64(),
    Pass: int32(),
    Phase: said(),
    RemainingMs: int64(),
    UploadedBytes: int64(),
  })

/** What `tintype snapshot --json` prints, in the casing of the API. */
const result = () =>
  fields({
    BarrierMs: decimal('double'),
    BaseReference: said(),
    CompressedBytes: int64(),
    Digest: said(),
    Files: int64(),
    FreezeMethod: said(),
    FrozenMs: decimal('double'),
    Layers: listed(
      fields({
        DiffId: said(),
        Digest: said(),
        MediaType: said(),
        RawBytes: int64(),
        Reused: flag(),
        SizeBytes: int64(),
      }),
    ),
    Mode: said(),
    ModeReason: said(),
    Passes: int32(),
    RawBytes: int64(),
    Reference: said(),
    Skipped: skipped(),
    Squashed: fields({ Layers: int32(), Reason: said() }),
    Torn: paths(),
    TotalMs: decimal('double'),
    UnsavedMounts: paths(),
    UploadedBytes: int64(),
    Warnings: listed(said()),
  })

const identity = () => ({
  ImageId: said(),
  ImageUrl: said(),
  InstanceId: said(),
  ReasonCode: said(),
  ReasonMessage: said(),
  SnapshotId: said(),
  SnapshotName: said(),
  Status: said(),
})

/** What GetInstanceSnapshot says, and all that it has no field for. */
export const snapshotDetails = () =>
  fields({
    ...identity(),
    ExcludePaths: listed(said()),
    GmtCreateTime: said(),
    GmtModifiedTime: said(),
    Labels: labels(),
    Origin: said(),
    Overwrite: flag(),
    Progress: progress(),
    Result: result(),
    ScheduleId: said(),
    SnapshotDescription: said(),
    UserId: said(),
  })

/** The data of one server-sent event. */
export const snapshotEvent = () => fields({ ...identity(), Progress: progress() })
