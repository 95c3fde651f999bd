/** As GetCallerIdentity names them (STS 2015-04-01). */
export type CallerKind = 'Account' | 'RAMUser' | 'AssumedRoleUser'

/** Who signed a request. Plain data, without the secret. */
export interface Caller {
  readonly accountId: string
  readonly kind: CallerKind
  /** PrincipalId: the account's id, the user's id, or `ROLE_ID:SESSION`. */
  readonly id: string
  /** Who owns what is made: the account, the user, or the role, whichever session made it and whichever comes after it. */
  readonly ownerId: string
  /** The user's name, or the session's; of the account, its id. */
  readonly name: string
  /** `acs:ram::ACCOUNT:root`, `…:user/NAME` or `…:assumed-role/ROLE/SESSION`. */
  readonly arn: string
  readonly accessKeyId: string
  /** For a person to read: a user's display name, `ROLE:SESSION`, or the account's id. */
  readonly displayName: string
}
