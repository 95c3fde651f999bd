import { AppError } from '#base/errors.ts'

/** A field of the request that breaks a rule: `rule` finishes the sentence that begins with its name. */
export function invalid(field: string, rule: string): AppError {
  return new AppError('parameter_invalid', `${field} ${rule}.`, { details: { field } })
}
