import { createInterface } from 'node:readline'
import { sleep } from '#base/abort.ts'
import { systemClock } from '#base/clock.ts'
import { streamOf, type EngineApi } from '#runtime/docker/api.ts'
import { object, number, text } from '#runtime/docker/json.ts'
import type { RuntimeEvent } from '#runtime/runtime.ts'
import { INSTANCE_LABEL } from './container-config.ts'

const ACTIONS = {
  start: 'started',
  die: 'exited',
  oom: 'out_of_memory',
  pause: 'paused',
  unpause: 'unpaused',
  destroy: 'removed',
} as const

const FIRST_RETRY_MS = 200
const LAST_RETRY_MS = 10_000
const NS_PER_MS = 1_000_000

/** As `Runtime.watch`. */
export async function* watchInstances(api: EngineApi, signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
  let retryMs = FIRST_RETRY_MS
  while (!signal.aborted) {
    try {
      for await (const event of readEvents(api, signal)) {
        yield event
        retryMs = FIRST_RETRY_MS
      }
    } catch {
      // The engine is away, or went away: what became of the instances is asked for by whoever sees `connected`.
    }
    await sleep(retryMs, signal).catch(() => {})
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
  }
}

async function* readEvents(api: EngineApi, signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
  const filters = JSON.stringify({ type: ['container'], label: [INSTANCE_LABEL], event: Object.keys(ACTIONS) })
  const stream = streamOf(await api.call('GET', '/events', { query: { filters }, isStream: true, signal }))
  yield { type: 'connected', timeMs: systemClock.wallMs() }
  for await (const line of createInterface({ input: stream })) {
    const event = parseEvent(line)
    if (event) yield event
  }
}

/** Undefined for what is none of ours. Throws for a line that is no JSON: then the engine has broken off. */
export function parseEvent(line: string): RuntimeEvent | undefined {
  const { Action, Actor, timeNano, time } = object(JSON.parse(line))
  const action = text(Action)
  const { ID, Attributes } = object(Actor)
  const attributes = object(Attributes)
  const instanceId = text(attributes[INSTANCE_LABEL])
  const type = Object.entries(ACTIONS).find(([name]) => name === action)?.[1]
  if (type === undefined || instanceId === '') return undefined
  const exitCode = Number(attributes['exitCode'])
  return {
    type,
    instanceId,
    containerId: text(ID),
    timeMs: Math.floor(number(timeNano) / NS_PER_MS) || number(time) * 1000,
    ...(type === 'exited' && Number.isInteger(exitCode) && { exitCode }),
  }
}
