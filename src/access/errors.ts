import type { ErrorCode } from '#base/errors.ts'

/** How an error is named on the wire: `Code` of the envelope, and the HTTP status. */
export interface WireError {
  readonly code: string
  readonly status: number
}

/** The codes that the gateways of the hosted service use for what goes wrong in this room; SDKs and scripts look at them. */
export const ACCESS_CODES = {
  access_key_not_found: { code: 'InvalidAccessKeyId.NotFound', status: 404 },
  access_key_inactive: { code: 'InvalidAccessKeyId.Inactive', status: 400 },
  signature_mismatch: { code: 'SignatureDoesNotMatch', status: 400 },
  signature_incomplete: { code: 'IncompleteSignature', status: 400 },
  // The hosted service has no code of its own for a method that it does not take: the signature "does not conform".
  signature_unsupported: { code: 'IncompleteSignature', status: 400 },
  timestamp_invalid: { code: 'InvalidTimeStamp.Format', status: 400 },
  timestamp_expired: { code: 'InvalidTimeStamp.Expired', status: 400 },
  nonce_used: { code: 'SignatureNonceUsed', status: 400 },
  security_token_missing: { code: 'MissingSecurityToken', status: 400 },
  security_token_malformed: { code: 'InvalidSecurityToken.Malformed', status: 400 },
  security_token_expired: { code: 'InvalidSecurityToken.Expired', status: 400 },
  security_token_mismatched: { code: 'InvalidSecurityToken.MismatchWithAccessKey', status: 400 },
  not_permitted: { code: 'NoPermission', status: 403 },
  policy_invalid: { code: 'MalformedPolicyDocument', status: 400 },
  arn_invalid: { code: 'InvalidParameter.Arn', status: 400 },
} as const satisfies { readonly [code in ErrorCode]?: WireError }
