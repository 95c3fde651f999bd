import { OFFICIAL } from '#service/images/labels.ts'
import { AppError } from '#base/errors.ts'
import { formatReference, parseReference } from '#oci/reference.ts'
import type { Reference } from '#oci/reference.ts'
import { parseExclusion } from '#overlay/exclusions.ts'
import type { Label } from '#store/snapshot-record.ts'

const NAME = /^[a-z0-9][a-z0-9-]{0,49}$/
const DESCRIPTION_LIMIT = 1_000
const LABELS = 50
const KEY_LIMIT = 128
const VALUE_LIMIT = 256
const EXCLUSIONS = 100
const PATH_LIMIT = 4_096 // PATH_MAX
// Whoever lists the image's labels has them on a terminal: none may move the cursor there.
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
const CONTROL_IN_TEXT = /(?![\n\t])[\u0000-\u001f\u007f-\u009f]/

/** Left out of every snapshot: it is a volume of its own (dsw-api §9 row 11). */
const WORKSPACE = '/mnt/workspace'

/** What the wire calls the parts of a request, so that a refusal names the field. */
export interface SnapshotRequest {
  readonly name: string
  readonly imageUrl: string
  readonly description: string
  readonly labels: readonly Label[]
  readonly excludePaths: readonly string[]
  readonly overwrite: boolean
}

export type Target = Reference & { readonly tag: string }

/** The request with its target. Throws `parameter_invalid`, naming the field. */
export function checkRequest(request: SnapshotRequest): Target {
  if (!NAME.test(request.name))
    throw invalid('SnapshotName', 'must be 1 to 50 lower-case letters, digits and hyphens, the first no hyphen')
  if (request.description.length > DESCRIPTION_LIMIT)
    throw invalid('SnapshotDescription', `must have at most ${DESCRIPTION_LIMIT} characters`)
  if (CONTROL_IN_TEXT.test(request.description)) throw invalid('SnapshotDescription', 'must have no control characters')
  checkLabels(request.labels)
  checkExclusions(request.excludePaths)
  return parseTarget(request.imageUrl, request.name)
}

/** Where the image goes; the tag is the snapshot's name where none is given (dsw-api §9 row 6). Throws `parameter_invalid`. */
export function parseTarget(imageUrl: string, name: string): Target {
  const reference = parseImageUrl('ImageUrl', imageUrl)
  return { ...reference, tag: reference.tag ?? name }
}

/** `registry/repository`, as the condition key `tintype:Repository` has it. Throws `parameter_invalid`. */
export function repositoryOf(imageUrl: string, field = 'ImageUrl'): string {
  const { registry, repository } = parseImageUrl(field, imageUrl)
  return formatReference({ registry, repository })
}

function parseImageUrl(field: string, text: string): Reference {
  let reference: Reference
  try {
    reference = parseReference(text)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new AppError('parameter_invalid', `${field} is no reference of an image: ${error.message}`, {
      cause: error,
      details: { field },
    })
  }
  if (reference.digest !== undefined) throw invalid(field, 'must name a tag, not a digest: an image is put under a tag')
  return { ...reference, registry: reference.registry.toLowerCase() }
}

function checkLabels(labels: readonly Label[]): void {
  if (labels.length > LABELS) throw invalid('Labels', `must be at most ${LABELS}`)
  const keys = new Set<string>()
  for (const { key, value } of labels) {
    if (key === '' || key.length > KEY_LIMIT || CONTROL.test(key))
      throw invalid('Labels', `must each have a Key of 1 to ${KEY_LIMIT} characters, none of them a control character`)
    if (value.length > VALUE_LIMIT || CONTROL_IN_TEXT.test(value))
      throw invalid('Labels', `must each have a Value of at most ${VALUE_LIMIT} characters, no control characters`)
    if (key === OFFICIAL) throw invalid('Labels', `cannot have ${OFFICIAL}: the account can give it to the image later`)
    if (keys.has(key)) throw invalid('Labels', `must have each Key once, and ${JSON.stringify(key)} comes twice`)
    keys.add(key)
  }
}

/** Throws `parameter_invalid` unless each is an absolute path without `.` and `..`. */
export function checkExclusions(paths: readonly string[]): void {
  if (paths.length > EXCLUSIONS) throw invalid('ExcludePaths', `must be at most ${EXCLUSIONS}`)
  for (const path of paths) {
    if (path.length > PATH_LIMIT) throw invalid('ExcludePaths', `must each have at most ${PATH_LIMIT} characters`)
    try {
      parseExclusion(path)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      throw new AppError('parameter_invalid', `ExcludePaths: ${error.message}`, {
        cause: error,
        details: { field: 'ExcludePaths' },
      })
    }
  }
}

/** What a capture leaves out: what was asked for, the workspace, and every mount; never a mount at `/`. */
export function allExclusions(asked: readonly string[], mountPaths: readonly string[]): readonly string[] {
  return [...new Set([...asked, WORKSPACE, ...mountPaths])].filter((path) => /[^/]/.test(path))
}

/** `parameter_invalid`: "FIELD must …". */
export function invalid(field: string, must: string): AppError {
  return new AppError('parameter_invalid', `${field} ${must}.`, { details: { field } })
}
