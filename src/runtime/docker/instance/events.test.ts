import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RuntimeEvent } from '#runtime/runtime.ts'
import { AppError } from '#base/errors.ts'
import { Readable } from 'node:stream'
import type { EngineApi } from '#runtime/docker/api.ts'
import { parseEvent, watchInstances } from './events.ts'

const line = (Action: string, attributes: Record<string, string> = {}) =>
  JSON.stringify({
    Type: 'container',
    Action,
    Actor: { ID: 'c1', Attributes: { 'io.tintype.instance': 'dsw-1', ...attributes } },
    time: 1_700_000_000,
    timeNano: 1_700_000_000_123_456_800,
  })

const common = { instanceId: 'dsw-1', containerId: 'c1', timeMs: 1_700_000_000_123 }
const KNOWN: readonly (readonly [string, RuntimeEvent])[] = [
  [line('start'), { type: 'started', ...common }],
  [line('die', { exitCode: '137' }), { type: 'exited', exitCode: 137, ...common }],
  [line('oom'), { type: 'out_of_memory', ...common }],
  [line('pause'), { type: 'paused', ...common }],
  [line('unpause'), { type: 'unpaused', ...common }],
  [line('destroy'), { type: 'removed', ...common }],
]
for (const [text, event] of KNOWN) test(`${event.type} is told`, () => assert.deepEqual(parseEvent(text), event))

test('what is none of ours is left out', () => {
  for (const other of [
    line('exec_start: sh'),
    line('attach'),
    line('start', { 'io.tintype.instance': '' }),
    '{}',
    '[]',
  ])
    assert.equal(parseEvent(other), undefined)
})

/** Each call of `/events` gets the next answer. */
function engineWith(answers: readonly (Error | readonly string[])[]): EngineApi & { readonly asked: () => number } {
  let asked = 0
  return {
    asked: () => asked,
    async call() {
      const answer = answers[asked++] ?? []
      if (answer instanceof Error) throw answer
      return Readable.from(answer.map((each) => `${each}\n`))
    },
  }
}

test('an engine that is away, or breaks off in a line, is asked again', async () => {
  const stop = new AbortController()
  const away = new AppError('engine_unavailable', 'It is away.')
  const api = engineWith([away, [line('start'), '{"Action":"di'], away, [line('die', { exitCode: '0' })]])
  const seen: string[] = []
  for await (const { type } of watchInstances(api, stop.signal)) {
    seen.push(type)
    if (type === 'exited') stop.abort()
  }
  assert.deepEqual(seen, ['connected', 'started', 'connected', 'exited'])
  assert.equal(api.asked(), 4)
})

test('it ends with its signal, also while it waits for the engine', async () => {
  const stop = new AbortController()
  const api = engineWith(Array.from({ length: 100 }, () => new AppError('engine_unavailable', 'It is away.')))
  const ended = Array.fromAsync(watchInstances(api, stop.signal))
  stop.abort()
  assert.deepEqual(await ended, [])
})
