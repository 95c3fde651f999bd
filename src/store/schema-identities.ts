import type { Generated } from 'kysely'

export interface SettingsRow {
  readonly key: string
  readonly value: string
}

export interface UserRow {
  /** Decimal digits, as RAM has them. */
  readonly userId: string
  readonly name: string
  readonly displayName: string
  readonly comments: string
  readonly email: string
  readonly mobilePhone: string
  readonly createdMs: number
  readonly updatedMs: number
}

export interface AccessKeyRow {
  readonly id: string
  /** Empty: the account's own. */
  readonly userId: string
  readonly secretEncrypted: string
  readonly status: 'Active' | 'Inactive'
  readonly createdMs: number
}

export interface PolicyRow {
  readonly name: string
  readonly description: string
  readonly defaultVersion: string
  /** The number of the next version: a number is not given twice. */
  readonly nextVersion: number
  readonly createdMs: number
  readonly updatedMs: number
}

export interface PolicyVersionRow {
  readonly policyName: string
  readonly versionId: string
  readonly document: string
  readonly createdMs: number
}

export interface AttachmentRow {
  readonly policyName: string
  readonly policyType: 'System' | 'Custom'
  readonly principalKind: 'user' | 'role'
  readonly principalId: string
  readonly attachedMs: number
}

export interface RoleRow {
  readonly roleId: string
  readonly name: string
  readonly description: string
  readonly trustPolicy: string
  readonly maxSessionS: number
  readonly createdMs: number
  readonly updatedMs: number
}

export interface NonceRow {
  readonly accessKeyId: string
  readonly nonce: string
  readonly expiresMs: number
}

export interface AuditTable {
  readonly id: Generated<number>
  readonly timeMs: number
  readonly requestId: string
  readonly principalArn: string
  readonly accessKeyId: string
  readonly action: string
  readonly resource: string
  readonly outcome: string
  readonly code: string
  readonly sourceIp: string
}

/** Who does what no two may do: a lease ends by itself, its `fence` grows with each owner. */
export interface LeaseRow {
  readonly name: string
  readonly owner: string
  readonly expiresMs: number
  readonly fence: number
}
