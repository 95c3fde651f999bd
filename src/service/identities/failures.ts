import { AppError, type ErrorCode } from '#base/errors.ts'

/** What RAM's documentation calls things in its error codes. */
export type Entity = 'User' | 'User.AccessKey' | 'User.Policy' | 'Policy' | 'Policy.Version' | 'Role' | 'Role.Policy'

const failure = (code: ErrorCode, wireCode: string, message: string) =>
  new AppError(code, message, { details: { wireCode } })

/** `EntityNotExist.User` and the like. */
export const notFound = (entity: Entity, what: string): AppError =>
  failure('identity_not_found', `EntityNotExist.${entity}`, `${what} does not exist: check the name.`)

/** `EntityAlreadyExists.User` and the like. */
export const alreadyExists = (entity: Entity, what: string): AppError =>
  failure('identity_exists', `EntityAlreadyExists.${entity}`, `${what} already exists: choose another name.`)

/** `DeleteConflict.User.Policy` and the like; `belongings` is what has to go first. */
export const inUse = (entity: string, what: string, belongings: string): AppError =>
  failure('identity_in_use', `DeleteConflict.${entity}`, `${what} cannot be deleted: ${belongings} first.`)

/** `LimitExceeded.User.AccessKey` and the like. */
export const limitReached = (entity: Entity, what: string): AppError =>
  failure('quota_exceeded', `LimitExceeded.${entity}`, `${what}: delete one that is not needed.`)

/** `InvalidParameter.UserName` and the like; `rule` completes "FIELD must be …". */
export const invalid = (field: string, rule: string): AppError =>
  new AppError('parameter_invalid', `${field} must be ${rule}.`, {
    details: { field, wireCode: `InvalidParameter.${field}` },
  })
