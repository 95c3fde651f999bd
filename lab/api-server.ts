import type { Caller } from '#access/caller.ts'
import { TIME_WINDOW_MS } from '#access/acs3.ts'
import { parsePolicy } from '#access/policy.ts'
import { systemClock } from '#base/clock.ts'
import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import type { ListenAddress } from '#config/values.ts'
import { Application } from '#http/application.ts'
import { Audit } from '#http/audit.ts'
import type { AuditEntry } from '#http/audit.ts'
import type { KeyFacts } from '#http/authenticate.ts'
import { Authorizer } from '#http/authorize.ts'
import { openLog } from '#http/log.ts'
import { openMetrics } from '#http/metrics.ts'
import { Pipeline } from '#http/pipeline.ts'
import { RecentNonces } from '#http/recent-nonces.ts'
import type { AnyRoute } from '#http/route.ts'
import { openServer } from '#http/server.ts'
import { Sessions } from '#http/session.ts'
import { signedClient } from '#lab/signed-client.ts'
import { Throttle } from '#http/throttle.ts'
import { secretsOf } from '#store/secrets.ts'

export const ACCOUNT_ID = '1234567890123456'
export const ROOT_KEY = { id: 'LTAIrootrootroot', secret: 'root-secret-that-nobody-may-log' }
export const USER_ID = '2000000000000001'
export const USER_KEY = { id: 'LTAIuseruseruser', secret: 'user-secret-that-nobody-may-log' }

const ROOT: Caller = {
  accountId: ACCOUNT_ID,
  kind: 'Account',
  id: ACCOUNT_ID,
  ownerId: ACCOUNT_ID,
  name: ACCOUNT_ID,
  arn: `acs:ram::${ACCOUNT_ID}:root`,
  accessKeyId: ROOT_KEY.id,
  displayName: ACCOUNT_ID,
}
const USER: Caller = {
  accountId: ACCOUNT_ID,
  kind: 'RAMUser',
  id: USER_ID,
  ownerId: USER_ID,
  name: 'ann',
  arn: `acs:ram::${ACCOUNT_ID}:user/ann`,
  accessKeyId: USER_KEY.id,
  displayName: 'Ann',
}

export interface ApiServerOptions {
  readonly routes: readonly AnyRoute[]
  /** The policy of the user with USER_KEY; without one the user may do nothing. */
  readonly policy?: object
  readonly rateLimit?: number
  readonly legacySignatures?: boolean
  readonly clock?: Clock
  readonly listen?: ListenAddress
  readonly ready?: () => Promise<void>
  readonly tls?: { readonly certPath: string; readonly keyPath: string }
}

/** The real server with the real pipeline, whose keys, nonces and audit rows are kept in memory. */
export async function openApiServer(options: ApiServerOptions) {
  const { clock = systemClock, routes, policy } = options
  const keys = new Map<string, KeyFacts>([
    [ROOT_KEY.id, { secret: ROOT_KEY.secret, isActive: true, caller: ROOT }],
    [USER_KEY.id, { secret: USER_KEY.secret, isActive: true, caller: USER }],
  ])
  const audit: AuditEntry[] = []
  const logged: string[] = []
  const used = new Set<string>()
  const ended = new Set<string>()
  const ending = new AbortController()
  const secrets = secretsOf(Buffer.alloc(32, 7))
  const isTls = options.tls !== undefined
  const sessions = new Sessions({
    sealer: secrets,
    ended: { add: async (id) => void ended.add(id), has: async (id) => ended.has(id) },
    clock,
    isTls,
  })
  const authentication = {
    keys: { findKey: async (id: string) => keys.get(id) },
    nonces: {
      use: async ({ accessKeyId, nonce }: { accessKeyId: string; nonce: string }) => {
        if (used.has(`${accessKeyId} ${nonce}`)) throw new AppError('nonce_used', 'Used.')
        used.add(`${accessKeyId} ${nonce}`)
      },
    },
    recent: new RecentNonces({ windowMs: TIME_WINDOW_MS }),
    sessions,
    clock,
    legacySignatures: options.legacySignatures ?? false,
  }
  const policies = policy === undefined ? [] : [parsePolicy(JSON.stringify(policy))]
  const pipeline = new Pipeline({
    ...authentication,
    routes,
    authorizer: new Authorizer({
      policiesOf: async () => [{ type: 'AccountLevelIdentityBasedPolicy', policies }],
      seal: (text) => Buffer.from(secrets.seal(text, 'diagnostic')),
      region: 'local',
      clock,
    }),
    throttle: new Throttle({ perSecond: options.rateLimit ?? 0, clock }),
    audit: new Audit({
      trail: { write: async (entry) => void audit.push(entry), add: (entry) => void audit.push(entry) },
      clock,
      onLost: (_entry, error) => logged.push(String(error)),
    }),
  })
  const metrics = openMetrics()
  const application = new Application({
    ...authentication,
    pipeline,
    metrics,
    log: openLog({ write: (line) => void logged.push(line) }),
    ready: options.ready ?? (async () => {}),
    openApi: () => '{"openapi":"3.1.0"}',
    isTls,
    ending: ending.signal,
  })
  const server = await openServer({
    config: { listen: options.listen ?? { host: '127.0.0.1', port: 0 }, ...(options.tls && { tls: options.tls }) },
    handle: application.handle,
    refuse: application.refuse,
  })
  return {
    url: server.url,
    keys,
    /** A client of the session of a role; its rights are the user's. */
    session(roleId: string, name: string) {
      const key = { id: `LTAI${roleId}${name}`, secret: 'session-secret' }
      const caller: Caller = {
        ...USER,
        kind: 'AssumedRoleUser',
        id: `${roleId}:${name}`,
        ownerId: roleId,
        name,
        accessKeyId: key.id,
      }
      keys.set(key.id, { secret: key.secret, isActive: true, caller })
      return signedClient(server.url, key)
    },
    audit,
    logged,
    metrics,
    [Symbol.asyncDispose]: async () => {
      ending.abort()
      await server[Symbol.asyncDispose]()
    },
  }
}
