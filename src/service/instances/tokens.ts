import { AppError, toAppError } from '#base/errors.ts'
import { findVisible } from './find.ts'
import type { InstanceParts, Viewer } from './parts.ts'
import { accessTokenOf } from './runtime-spec.ts'

type TokenParts = Pick<InstanceParts, 'store' | 'clock'>

const PURPOSE = 'instance-view-token'
const DEFAULT_SECONDS = 3600

export interface TokenRequest {
  readonly instanceId: string
  /** `Access` opens the notebook of the instance; `View` lets others read what the API tells of it. */
  readonly type: 'Access' | 'View'
  readonly expireSeconds?: number | undefined
}

/**
 * A token for an instance. Access is the notebook's own and lasts as long as the instance; View ends after
 * `expireSeconds`. Both are given to the owner, and to those who see everything. Throws `permission_denied`.
 */
export async function makeToken(parts: TokenParts, request: TokenRequest, viewer: Viewer): Promise<string> {
  const { instanceId, type, expireSeconds = DEFAULT_SECONDS } = request
  const record = await findVisible(parts.store, instanceId, viewer)
  if (!viewer.seesAll && record.userId !== viewer.userId)
    throw new AppError(
      'permission_denied',
      `Instance ${instanceId} belongs to somebody else: only its owner gets a token for it.`,
    )
  if (type === 'Access') return accessTokenOf(parts, record)
  const expiresMs = parts.clock.wallMs() + expireSeconds * 1000
  return parts.store.secrets.seal(JSON.stringify([instanceId, expiresMs]), PURPOSE)
}

/** The instance that a View token shows. Undefined: it is none of ours, or its time is over. */
export function readViewToken({ store, clock }: TokenParts, token: string): string | undefined {
  const [instanceId, expiresMs] = parseViewToken(store.secrets, token)
  return expiresMs > clock.wallMs() ? instanceId : undefined
}

function parseViewToken(secrets: TokenParts['store']['secrets'], token: string): readonly [string, number] {
  try {
    return JSON.parse(secrets.unseal(token, PURPOSE)) as readonly [string, number]
  } catch (error) {
    if (toAppError(error).code === 'store_unsupported') return ['', 0]
    throw error
  }
}
