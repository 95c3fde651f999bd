/** The whole server in this process, on a real engine: so that a test may turn its clock. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock, type Clock } from '#base/clock.ts'
import { readConfig } from '#config/config.ts'
import { openLog } from '#http/log.ts'
import { openMetrics } from '#http/metrics.ts'
import { openApi } from '#http/open-api.ts'
import { routesOf } from '#http/routes.ts'
import { removeContainers, type Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import type { Registry } from '#lab/registry.ts'
import { signedClient, type Answer, type CallOptions } from '#lab/signed-client.ts'
import { runProgram } from '#base/process.ts'
import { openService } from '#service/service.ts'

export const LOGIN = { user: 'ann', password: 'a pass: word' }
const ROOT = { id: 'LTAIrootrootroot', secret: 'root-secret-root-secret-root' }

/** The time that is, and what has been added to it. */
export class AheadClock implements Clock {
  #aheadMs = 0

  wallNs = (): bigint => systemClock.wallNs() + BigInt(this.#aheadMs) * 1_000_000n
  wallMs = (): number => systemClock.wallMs() + this.#aheadMs
  monotonicMs = (): number => systemClock.monotonicMs() + this.#aheadMs

  pass(ms: number): void {
    this.#aheadMs += ms
  }
}

export type Call = (line: string, options?: CallOptions) => Promise<Answer>

/** Busybox in a registry that asks for a login; the engine has it no more. Returns its reference. */
export async function privateImage(engine: Engine, registry: Registry): Promise<string> {
  const reference = `${registry.host}/private/base:v1`
  const { host } = registry
  await engine.docker(['tag', await busyboxImage(engine), reference])
  await engine.docker(['login', host, '--username', LOGIN.user, '--password-stdin'], { input: LOGIN.password })
  await engine.docker(['push', '--quiet', reference])
  await engine.docker(['logout', host])
  await engine.docker(['rmi', reference])
  return reference
}

/** `settings`: more than what every world has. */
export async function openWorld(engine: Engine, settings: Readonly<Record<string, string>> = {}) {
  const directory = mkdtempSync(`${tmpdir()}/tintype-service-`) // the engines of the lab see it
  const datasets = `${directory}/datasets`
  for (const path of [`${directory}/home`, datasets, `${directory}/elsewhere`]) mkdirSync(path)
  const config = await readConfig({
    TINTYPE_HOME: `${directory}/home`,
    TINTYPE_LISTEN: '127.0.0.1:0',
    TINTYPE_ROOT_ACCESS_KEY_ID: ROOT.id,
    TINTYPE_ROOT_ACCESS_KEY_SECRET: ROOT.secret,
    TINTYPE_DATASET_PATHS: datasets,
    TINTYPE_RATE_LIMIT: '0',
    DOCKER_HOST: `unix://${engine.socketPath}`,
    ...settings,
  })
  const clock = new AheadClock()
  const logged: string[] = []
  const service = await openService({ config, clock, log: (sentence) => logged.push(sentence) })
  const { store, identities, instances } = service
  const api = await openApi({
    config,
    routes: routesOf(service, config),
    store,
    identities,
    ready: () => service.ready(),
    metrics: openMetrics(),
    log: openLog({ write: () => {} }),
    clock,
    version: 'test',
  })
  service.start()
  const call = async (key: typeof ROOT, line: string, options: CallOptions = {}) =>
    signedClient(api.url, key)(line, { date: new Date(clock.wallMs()), ...options })
  const root: Call = (line, options) => call(ROOT, line, options)
  return {
    clock,
    datasets,
    elsewhere: `${directory}/elsewhere`,
    instances,
    root,
    /** A user with this right over instances, and none to see what is private to others. */
    async user(name: string): Promise<Call> {
      const { caller } = (await identities.findKey(ROOT.id))!
      await identities.users.create({ name })
      const policy = { Version: '1', Statement: [{ Effect: 'Allow', Action: 'paidsw:*', Resource: '*' }, { Effect: 'Deny', Action: 'paidsw:ListAllInstances', Resource: '*' }] } // prettier-ignore
      await identities.policies.create({ name: `of-${name}`, document: JSON.stringify(policy) })
      await identities.attachments.attach({ type: 'Custom', name: `of-${name}` }, { user: name })
      const key = await identities.accessKeys.create({ userName: name, caller })
      return (line, options) => call(key, line, options)
    },
    async [Symbol.asyncDispose]() {
      await api[Symbol.asyncDispose]()
      const ids = (await store.instances.inStatus(STATUSES)).map(({ instanceId }) => instanceId)
      await service[Symbol.asyncDispose]()
      for (const id of ids) {
        await removeContainers(engine, `io.tintype.instance=${id}`)
        const [program, ...before] = engine.command
        await runProgram(program, [...before, 'volume', 'rm', '--force', `tintype-${id}-workspace`], {
          env: engine.env,
        })
      }
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const STATUSES = ['Creating', 'EnvPreparing', 'Starting', 'Running', 'Saving', 'Stopping', 'Stopped', 'Deleting', 'Failed'] as const // prettier-ignore

/** Ask until it is so. Throws what was seen last when it is not within a minute. */
export async function until<T>(ask: () => Promise<T>, isSo: (seen: T) => boolean): Promise<T> {
  const deadline = performance.now() + 60_000
  for (;;) {
    const seen = await ask()
    if (isSo(seen)) return seen
    if (performance.now() > deadline) throw new Error(`It stays ${JSON.stringify(seen)}.`)
    await delay(100)
  }
}
