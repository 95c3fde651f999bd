import type { Caller, CallerKind } from './caller.ts'
import type { AccessRequest, Decision, PolicyType } from './evaluate.ts'

/** The AccessDeniedDetail of an error, by its names on the wire. */
export interface AccessDeniedDetail {
  readonly AuthAction: string
  readonly AuthPrincipalType: 'RootUser' | 'SubUser' | 'AssumedRoleUser'
  readonly AuthPrincipalDisplayName: string
  readonly AuthPrincipalOwnerId: string
  readonly AuthResource: string
  readonly NoPermissionType: 'ImplicitDeny' | 'ExplicitDeny'
  readonly PolicyType: PolicyType
  readonly EncodedDiagnosticMessage: string
}

const PRINCIPAL_TYPES = {
  Account: 'RootUser',
  RAMUser: 'SubUser',
  AssumedRoleUser: 'AssumedRoleUser',
} as const satisfies Record<CallerKind, AccessDeniedDetail['AuthPrincipalType']>

export interface SealOptions {
  /** Makes bytes of a text that only the server can read, or that prove that it wrote it. */
  readonly seal: (text: string) => Uint8Array
}

/**
 * Why a request was denied, for whoever sent it. What its conditions were asked with is only in the sealed message: the
 * administrator may read it, the caller need not learn it.
 */
export function accessDeniedDetail(
  caller: Caller,
  request: AccessRequest,
  decision: Decision,
  { seal }: SealOptions,
): AccessDeniedDetail {
  const detail = {
    AuthAction: request.action,
    AuthPrincipalType: PRINCIPAL_TYPES[caller.kind],
    // As documented: the id of a user, the role and the session of who has assumed one.
    AuthPrincipalDisplayName: caller.kind === 'AssumedRoleUser' ? caller.displayName : caller.id,
    AuthPrincipalOwnerId: caller.accountId,
    AuthResource: request.resource,
    NoPermissionType: decision.decision === 'ExplicitDeny' ? 'ExplicitDeny' : 'ImplicitDeny',
    PolicyType: decision.policyType ?? 'AccountLevelIdentityBasedPolicy',
  } as const
  const diagnostic = JSON.stringify({ ...detail, principal: caller.arn, context: request.context })
  return { ...detail, EncodedDiagnosticMessage: Buffer.from(seal(diagnostic)).toString('base64') }
}
