import { assumedRoleArn, parseArn, roleSessionArn } from '#access/arn.ts'
import type { Caller } from '#access/caller.ts'
import { accessDeniedDetail } from '#access/denied.ts'
import { evaluateTrust, type AccessRequest, type Decision } from '#access/evaluate.ts'
import { parsePolicy, parseTrustPolicy, type Policy } from '#access/policy.ts'
import { AppError, toAppError } from '#base/errors.ts'
import type { Secrets } from '#store/secrets.ts'
import { invalid, notFound } from './failures.ts'
import { newSecret, newTemporaryKeyId, TEMPORARY_PREFIX } from './generate.ts'
import type { IdentityParts } from './parts.ts'

const TOKEN_PURPOSE = 'sts-token'
const DEFAULT_DURATION_S = 3_600

export interface AssumeRoleRequest {
  /** `acs:ram::ACCOUNT:role/NAME`. */
  readonly roleArn: string
  readonly sessionName: string
  readonly durationS?: number | undefined
  /** Takes away from what the role may do. */
  readonly policy?: string | undefined
  /** What conditions of the trust policy may ask for. */
  readonly context: AccessRequest['context']
}

export interface TemporaryCredentials {
  readonly accessKeyId: string
  readonly accessKeySecret: string
  readonly securityToken: string
  readonly expiresMs: number
  /** As AssumeRole names who has assumed the role. */
  readonly arn: string
  readonly assumedRoleId: string
}

/** A session of a role: what its sealed token holds. No table has it, so that every replica can read it. */
export interface RoleSession {
  readonly caller: Caller
  readonly secret: string
  readonly roleId: string
  readonly expiresMs: number
  readonly policy: Policy | undefined
}

/**
 * Temporary credentials for `caller` in a role. That the caller's own policies allow it was asked before.
 * Throws `EntityNotExist.Role`; `not_permitted` when the role does not trust the caller;
 * `InvalidParameter.DurationSeconds`; `policy_invalid`.
 */
export async function assumeRole(
  parts: IdentityParts,
  caller: Caller,
  request: AssumeRoleRequest,
): Promise<TemporaryCredentials> {
  const { store, accountId } = parts
  const { roleArn, sessionName, durationS = DEFAULT_DURATION_S, policy, context } = request
  if (policy !== undefined) parsePolicy(policy)
  const arn = parseArn(roleArn)
  const name = /^role\/([^/]+)$/.exec(arn.relativeId)?.[1] ?? ''
  const role = arn.accountId === accountId ? await store.roles.findByName(name) : undefined
  if (role === undefined) throw notFound('Role', `The role ${roleArn}`)
  const trust = parseTrustPolicy(role.trustPolicy)
  const decision = evaluateTrust(trust, caller, { action: 'sts:AssumeRole', context })
  if (decision.decision !== 'Allow') throw notTrusted(parts, caller, { ...request, decision })
  if (durationS > role.maxSessionS)
    throw invalid('DurationSeconds', `${role.maxSessionS} at most, the MaxSessionDuration of the role`)
  const expiresMs = store.clock.wallMs() + durationS * 1000
  const [accessKeyId, accessKeySecret] = [newTemporaryKeyId(), newSecret()]
  const content: TokenContent = {
    accessKeyId,
    secret: accessKeySecret,
    roleId: role.roleId,
    roleName: name,
    sessionName,
    expiresMs,
    ...(policy !== undefined && { policy }),
  }
  return {
    accessKeyId,
    accessKeySecret,
    securityToken: store.secrets.seal(JSON.stringify(content), TOKEN_PURPOSE),
    expiresMs,
    arn: roleSessionArn(accountId, name, sessionName),
    assumedRoleId: `${role.roleId}:${sessionName}`,
  }
}

interface TokenContent {
  readonly accessKeyId: string
  readonly secret: string
  readonly roleId: string
  readonly roleName: string
  readonly sessionName: string
  readonly expiresMs: number
  readonly policy?: string
}

type Untrusted = AssumeRoleRequest & { readonly decision: Decision }

function notTrusted({ store }: IdentityParts, caller: Caller, { roleArn, context, decision }: Untrusted): AppError {
  const request = { action: 'sts:AssumeRole', resource: roleArn, context }
  const seal = (text: string) => Buffer.from(store.secrets.seal(text, 'diagnostic-message'))
  const message = `The trust policy of ${roleArn} does not let ${caller.arn} assume it.`
  return new AppError('not_permitted', message, {
    details: { ...accessDeniedDetail(caller, request, decision, { seal }) },
  })
}

/** The session that a token is for. Throws `security_token_malformed` for what this installation has not made. */
export function readSession(secrets: Secrets, accountId: string, token: string): RoleSession {
  const content = openToken(secrets, token)
  const { accessKeyId, secret, roleId, roleName, sessionName, expiresMs, policy } = content
  const caller: Caller = {
    accountId,
    kind: 'AssumedRoleUser',
    id: `${roleId}:${sessionName}`,
    ownerId: roleId,
    name: sessionName,
    arn: assumedRoleArn(accountId, roleName, sessionName),
    accessKeyId,
    displayName: `${roleName}:${sessionName}`,
  }
  return { caller, secret, roleId, expiresMs, policy: policy === undefined ? undefined : parsePolicy(policy) }
}

function openToken(secrets: Secrets, token: string): TokenContent {
  try {
    // The seal proves that we wrote it: what is in it has the form that we gave it.
    return parseToken(secrets.unseal(token, TOKEN_PURPOSE))
  } catch (error) {
    if (toAppError(error).code !== 'store_unsupported') throw error
    const message = 'The security token is not one that this server has given out: assume the role again.'
    throw new AppError('security_token_malformed', message, { cause: error })
  }
}

const parseToken = (text: string) => JSON.parse(text) as TokenContent

/** Whether a key needs a token. */
export const isTemporary = (accessKeyId: string): boolean => accessKeyId.startsWith(TEMPORARY_PREFIX)

/** Throws `security_token_mismatched` for a token of another key, `security_token_expired` from its last second on. */
export function checkSession(session: RoleSession, accessKeyId: string, nowMs: number): void {
  if (session.caller.accessKeyId !== accessKeyId)
    throw new AppError(
      'security_token_mismatched',
      'The security token belongs to another access key: send both of one answer.',
    )
  if (session.expiresMs <= nowMs)
    throw new AppError('security_token_expired', 'The security token has expired: assume the role again.')
}
