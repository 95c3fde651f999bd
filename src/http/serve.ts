import type { Logger } from 'pino'
import { sleep } from '#base/abort.ts'
import type { Clock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { goFirst } from '#base/priority.ts'
import type { Config } from '#config/config.ts'
import { openService } from '#service/service.ts'
import type { Service } from '#service/service.ts'
import { openMetrics, serveMetrics } from './metrics.ts'
import type { Metrics } from './metrics.ts'
import { openApi } from './open-api.ts'
import { routesOf } from './routes.ts'

export interface ServeOptions {
  readonly config: Config
  readonly clock: Clock
  readonly log: Logger
  /** Of Tintype. */
  readonly version: string
  /** Thaw what an earlier run left frozen, before anything else. */
  readonly thawLeftovers: () => Promise<readonly string[]>
  readonly announce: (where: { url: string; metricsUrl: string; credentialsPath?: string }) => void
  /** Stop: accept no more, bring everything to rest, return. */
  readonly signal: AbortSignal
}

/** Orchestrators wait this long between SIGTERM and SIGKILL: what is not at rest by then is taken up by the next start. */
const STOP_WITHIN_MS = 30_000

/** Run the server until `signal` fires. Throws as `openService`, `openApi` and `serveMetrics`; `cancelled` when stopping takes too long. */
export async function serve(options: ServeOptions): Promise<void> {
  const { config, clock, log, signal } = options
  goFirst() // captures use all cores for long, answers need one of them for a moment
  for (const sentence of await options.thawLeftovers()) log.warn(sentence)
  await using opened = new AsyncDisposableStack()
  const service = opened.use(
    await openService({ config, clock, log: (sentence, details) => log.info(details, sentence) }),
  )
  const metrics = openMetrics()
  countWork(metrics, service)
  const metricsServer = opened.use(await serveMetrics(metrics, config.metricsListen))
  const { store, identities } = service
  const ready = () => service.ready()
  const routes = routesOf(service, config)
  const api = opened.use(await openApi({ ...options, routes, store, identities, ready, metrics }))
  service.start()
  log.info({ url: api.url, version: options.version, region: config.region }, 'serving')
  options.announce({ url: api.url, metricsUrl: metricsServer.url, ...credentialsIn(config) })
  await fired(signal)
  log.info('stopping')
  await stopInTime(opened.move())
  log.info('stopped')
}

/** What goes on behind the answers. Of snapshots those that are unfinished: counting all that ever were is no job for a scrape. */
function countWork(metrics: Metrics, { store, snapshots }: Pick<Service, 'store' | 'snapshots'>): void {
  metrics.gaugeByStatus('tintype_instances', 'Instances by status.', () => store.instances.countByStatus())
  metrics.gaugeByStatus('tintype_snapshots_unfinished', 'Unfinished snapshots by status.', () =>
    store.snapshotQueue.countUnfinished(),
  )
  metrics.gauge('tintype_captures_running', 'Snapshots that this server works on.', () => snapshots.running())
}

function credentialsIn({ rootAccessKey, home }: Config): { readonly credentialsPath?: string } {
  return rootAccessKey === undefined ? { credentialsPath: `${home}/credentials.json` } : {}
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function stopInTime(opened: AsyncDisposableStack): Promise<void> {
  const inTime = new AbortController()
  const tooLate = sleep(STOP_WITHIN_MS, inTime.signal).then(
    () => {
      throw new AppError('cancelled', 'Stopping took too long: the next start takes up what was left.')
    },
    () => {},
  )
  await Promise.race([opened.disposeAsync().finally(() => inTime.abort()), tooLate])
}
