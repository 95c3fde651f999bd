import { AppError } from '#base/errors.ts'
import { OFFICIAL as OFFICIAL_LABEL } from '#store/image-search.ts'
import type { Label } from '#store/snapshot-record.ts'

const MOST = 100
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
/** Says that an image is the platform's own (dsw-api §2): nobody but the account may say so. */
export const OFFICIAL = OFFICIAL_LABEL.key

/** Throws `parameter_invalid`. */
export function checkLabels(labels: readonly Label[], { seesAll }: { readonly seesAll: boolean }): void {
  if (labels.length > MOST) throw invalid(`must be at most ${MOST}`)
  for (const { key, value } of labels) {
    if (key === '' || CONTROL.test(key) || CONTROL.test(value))
      throw invalid('must each have a Key, and no control characters in Key and Value')
    if (key === OFFICIAL && !seesAll) throw invalid(`may have ${OFFICIAL} only from the account itself`)
  }
}

/** A filter as it is written: `k=v,k=v`. Throws `parameter_invalid`. */
export function parseLabelFilter(field: string, text: string | undefined): readonly Label[] {
  const parts = (text ?? '').split(',').filter((part) => part.trim() !== '')
  return parts.map((part) => {
    const equals = part.indexOf('=')
    if (equals > 0) return { key: part.slice(0, equals).trim(), value: part.slice(equals + 1).trim() }
    throw new AppError('parameter_invalid', `${field} must be KEY=VALUE pairs with commas between.`, {
      details: { field },
    })
  })
}

/** Keys with commas between; undefined when there is none. */
export function parseKeys(text: string | undefined): readonly string[] | undefined {
  const keys = (text ?? '').split(',').map((key) => key.trim()).filter((key) => key !== '') // prettier-ignore
  return keys.length === 0 ? undefined : keys
}

function invalid(must: string): AppError {
  return new AppError('parameter_invalid', `Labels ${must}.`, { details: { field: 'Labels' } })
}
