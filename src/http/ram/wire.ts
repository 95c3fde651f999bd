import { AppError } from '#base/errors.ts'
import type { Page, PageRequest } from '#service/identities/parts.ts'

/** The part of a list that a request asks for. Throws `parameter_invalid` for a Marker that no answer had. */
export function readMarker(query: { readonly Marker?: string; readonly MaxItems: number }): PageRequest {
  const { Marker: marker = '', MaxItems: limit } = query
  const after = Buffer.from(marker, 'base64url').toString()
  if (Buffer.from(after).toString('base64url') !== marker || after.includes('\0'))
    throw new AppError(
      'parameter_invalid',
      'Marker must be the Marker of an answer before: leave it out to begin anew.',
      {
        details: { field: 'Marker', wireCode: 'InvalidParameter.Marker' },
      },
    )
  return marker === '' ? { limit } : { limit, after }
}

/** Whether there is more, and where it begins: only an answer that is not whole has a Marker. */
export function writeMarker({ next }: Page<unknown>): { IsTruncated: boolean; Marker?: string } {
  return next === undefined
    ? { IsTruncated: false }
    : { IsTruncated: true, Marker: Buffer.from(next).toString('base64url') }
}
