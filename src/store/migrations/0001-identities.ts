import type { ColumnTypes } from './types.ts'

/** Who may call, and what was called. */
export function identityTables({ text, int, serial }: ColumnTypes): readonly string[] {
  return [
    `create table settings (key ${text} primary key, value ${text} not null)`,
    `create table users (user_id ${text} primary key, name ${text} not null unique, display_name ${text} not null,
      comments ${text} not null, email ${text} not null, mobile_phone ${text} not null,
      created_ms ${int} not null, updated_ms ${int} not null)`,
    `create table access_keys (id ${text} primary key, user_id ${text} not null, secret_encrypted ${text} not null,
      status ${text} not null, created_ms ${int} not null)`,
    'create index access_keys_user on access_keys (user_id)',
    `create table policies (name ${text} primary key, description ${text} not null, default_version ${text} not null,
      next_version ${int} not null, created_ms ${int} not null, updated_ms ${int} not null)`,
    `create table policy_versions (policy_name ${text} not null references policies (name) on delete cascade,
      version_id ${text} not null, document ${text} not null, created_ms ${int} not null,
      primary key (policy_name, version_id))`,
    `create table attachments (policy_name ${text} not null, policy_type ${text} not null, principal_kind ${text} not null,
      principal_id ${text} not null, attached_ms ${int} not null,
      primary key (principal_kind, principal_id, policy_type, policy_name))`,
    'create index attachments_policy on attachments (policy_type, policy_name)',
    `create table roles (role_id ${text} primary key, name ${text} not null unique, description ${text} not null,
      trust_policy ${text} not null, max_session_s ${int} not null, created_ms ${int} not null, updated_ms ${int} not null)`,
    `create table nonces (access_key_id ${text} not null, nonce ${text} not null, expires_ms ${int} not null,
      primary key (access_key_id, nonce))`,
    'create index nonces_expiry on nonces (expires_ms)',
    `create table audit (id ${serial}, time_ms ${int} not null, request_id ${text} not null, principal_arn ${text} not null,
      access_key_id ${text} not null, action ${text} not null, resource ${text} not null, outcome ${text} not null,
      code ${text} not null, source_ip ${text} not null)`,
    'create index audit_time on audit (time_ms)',
    `create table leases (name ${text} primary key, owner ${text} not null, expires_ms ${int} not null, fence ${int} not null)`,
  ]
}
