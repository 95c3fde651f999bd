import type { Accessibility, RequestedResource } from '#store/instance-record.ts'

/** A dataset as it was asked for. */
export interface DatasetDraft {
  readonly uri?: string
  readonly datasetId?: string
  readonly mountPath?: string
  readonly access?: 'RW' | 'RO'
}

/** What may be asked for an instance, at its creation and later. */
export interface InstanceDraft {
  readonly name?: string
  readonly accessibility?: Accessibility
  readonly imageId?: string
  readonly imageUrl?: string
  /** Base64 of `user:password`. */
  readonly imageAuth?: string
  readonly ecsSpec?: string
  readonly requested?: RequestedResource
  readonly datasets?: readonly DatasetDraft[]
  readonly environment?: Readonly<Record<string, string>>
  readonly onStart?: string
  readonly priority?: number
  readonly oversoldType?: string
  readonly workspaceSource?: string
  /** Whose it shall be. */
  readonly userId?: string
  /** Fields without effect here, as they came. */
  readonly echo: Readonly<Record<string, unknown>>
}

/** What is said once, when an instance is made. */
export interface NewInstanceDraft extends InstanceDraft {
  readonly workspaceId?: string
  readonly resourceId?: string
  readonly labels: ReadonlyMap<string, string>
  readonly tags: ReadonlyMap<string, string>
}

/** What an update takes away. `echo`: by the names of the fields, `Outer.Inner` for one in another. */
export interface Removal {
  readonly datasets?: boolean
  readonly environment?: boolean
  readonly onStart?: boolean
  readonly echo: readonly string[]
}
