import { rpcProduct } from './operation.ts'
import { fields, flag, int32, int64, list, listed, oneOf, said, text } from './schema.ts'
import { label } from './shapes.ts'

/** RAM, version 2015-05-01: names and limits as its official SDK documents them. */
export const ram = rpcProduct({ product: 'ram', version: '2015-05-01', envelope: 'requestId', ramCode: 'ram' })

const DOCUMENT_LIMIT = 6144
/** AccessKey ids of the cloud have 16 to 24 characters; our own may be longer. */
const KEY_ID_LIMIT = 128

export const userName = () =>
  text({ max: 64, pattern: '^[A-Za-z0-9._-]{1,64}$', rule: '1 to 64 letters, digits, ".", "_" and "-"' })
export const roleName = () =>
  text({ max: 64, pattern: '^[A-Za-z0-9.-]{1,64}$', rule: '1 to 64 letters, digits, "." and "-"' })
export const policyName = () =>
  text({ max: 128, pattern: '^[A-Za-z0-9-]{1,128}$', rule: '1 to 128 letters, digits and "-"' })
export const versionId = () => text({ max: 12, pattern: '^v[1-9]\\d{0,9}$', rule: 'a version like v1' })
export const keyId = () => text({ min: 1, max: KEY_ID_LIMIT })
export const policyType = () => oneOf('System', 'Custom')
/** JSON text; whether it is a policy is for the policy language to say. */
export const policyDocument = () => text({ min: 1, max: DOCUMENT_LIMIT })
/** Seconds. */
export const sessionDuration = () => int64({ min: 3600, max: 43200 })
export const tags = () => list(label())
export const answeredTags = () => fields({ Tag: listed(fields({ TagKey: said(), TagValue: said() })) })

/** Page by page: an answer that is not whole has the Marker that the next call begins with. */
export const marker = () => ({ Marker: text() })
export const maxItems = () => ({ MaxItems: int32({ min: 1, max: 1000, default: 100 }) })
export const truncated = () => ({ IsTruncated: flag(), Marker: said() })
