import type { Logger } from 'pino'
import { TIME_WINDOW_MS } from '#access/acs3.ts'
import type { Clock } from '#base/clock.ts'
import type { Config } from '#config/config.ts'
import { openApiDocument } from '#contract/openapi.ts'
import type { Identities } from '#service/identities/identities.ts'
import { BatchWriter } from '#store/batch-writer.ts'
import type { Store } from '#store/open-store.ts'
import { Application } from './application.ts'
import { Audit } from './audit.ts'
import type { AuditEntry } from './audit.ts'
import { Authorizer } from './authorize.ts'
import type { Metrics } from './metrics.ts'
import { Pipeline } from './pipeline.ts'
import { RecentNonces } from './recent-nonces.ts'
import type { AnyRoute } from './route.ts'
import { openServer } from './server.ts'
import type { OpenServer } from './server.ts'
import { Sessions } from './session.ts'
import type { EndedSessions } from './session.ts'
import { Throttle } from './throttle.ts'

export interface ApiParts {
  readonly config: Pick<Config, 'listen' | 'tls' | 'region' | 'rateLimit' | 'legacySignatures'>
  readonly routes: readonly AnyRoute[]
  readonly store: Store
  readonly identities: Pick<Identities, 'findKey' | 'policiesOf'>
  /** Throws when the server cannot work now. */
  readonly ready: () => Promise<void>
  readonly metrics: Metrics
  readonly log: Logger
  readonly clock: Clock
  /** Of Tintype, for the OpenAPI document. */
  readonly version: string
}

/**
 * The whole API on its address. Disposing lets what runs end, closes streams at once, and writes what is left of the
 * audit log; the store stays open. Throws as `openServer`.
 */
export async function openApi(parts: ApiParts): Promise<OpenServer> {
  const { config, store, clock, log } = parts
  const ending = new AbortController()
  const isTls = config.tls !== undefined
  const authentication = {
    keys: parts.identities,
    nonces: store.nonces,
    recent: new RecentNonces({ windowMs: TIME_WINDOW_MS }),
    sessions: new Sessions({ sealer: store.secrets, ended: endedIn(store), clock, isTls }),
    clock,
    legacySignatures: config.legacySignatures,
  }
  const samples = new BatchWriter<AuditEntry>((entries) => store.audit.insert(entries), {
    onLost: (error, count) => log.error({ error: error.message, count }, 'rows of the audit log about reads are lost'),
  })
  const pipeline = new Pipeline({
    ...authentication,
    routes: parts.routes,
    authorizer: new Authorizer({
      policiesOf: parts.identities.policiesOf,
      seal: (text) => Buffer.from(store.secrets.seal(text, 'diagnostic-message')),
      region: config.region,
      clock,
    }),
    throttle: new Throttle({ perSecond: config.rateLimit, clock }),
    audit: new Audit({
      trail: { write: (entry) => store.audit.insert([entry]), add: (entry) => samples.add(entry) },
      clock,
      onLost: (entry, error) => log.error({ entry, error: String(error) }, 'a row of the audit log is lost'),
    }),
  })
  let document = '' // known once the server's own address is
  const application = new Application({
    ...authentication,
    pipeline,
    metrics: parts.metrics,
    log,
    ready: parts.ready,
    openApi: () => document,
    isTls,
    ending: ending.signal,
  })
  const server = await openServer({ config, handle: application.handle, refuse: application.refuse })
  document = JSON.stringify(openApiDocument({ serverUrl: server.url, version: parts.version }))
  return {
    url: server.url,
    async [Symbol.asyncDispose]() {
      ending.abort()
      await server[Symbol.asyncDispose]()
      await samples[Symbol.asyncDispose]()
    },
  }
}

/** Ended sessions stand among the nonces: they too count until they would have expired, on every replica. */
function endedIn({ nonces }: Store): EndedSessions {
  const accessKeyId = 'session' // no access key is called so
  return {
    async add(nonce, expiresMs) {
      if (!(await nonces.isUsed({ accessKeyId, nonce }))) await nonces.use({ accessKeyId, nonce, expiresMs })
    },
    has: (nonce) => nonces.isUsed({ accessKeyId, nonce }),
  }
}
