/** What the server stands, by its order of magnitude: `npm run bench:api` measures it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startServer } from '#lab/server.ts'
import { signedClient } from '#lab/signed-client.ts'
import { API_HEADING, appendSection, cutSection, isReached, tableOf } from '../../bench/api-figures.ts'
import { parseApiOptions } from '../../bench/api-options.ts'
import { fillStore, instanceIdOf, snapshotIdOf } from '../../bench/fill-store.ts'
import { cpuMsOf, load, startLoad, summarize } from '../../bench/load.ts'

const [INSTANCES, SNAPSHOTS] = [1000, 20_000]
/** Ten times what a quiet machine needs: other tests run beside this one. */
const [GET_CPU_MS, LIST_CPU_MS] = [5, 50]

test('signed requests are answered in their thousands, and lists do not grow with the store', async (t) => {
  await using server = await startServer({ env: { TINTYPE_RATE_LIMIT: '0' } })
  const { url, rootKey: key } = server
  const body = { InstanceName: 'template', EcsSpec: 'ecs.n4.small', ImageUrl: 'registry.example.com/lab/torch:v1' }
  const { json } = await signedClient(url, key)('POST /api/v2/instances', { body })
  const template = String(json['InstanceId'])
  await fillStore(server.database, { instances: INSTANCES, snapshots: SNAPSHOTS, userId: '7', template })
  const snapshots = `/api/v2/instances/${instanceIdOf(7)}/snapshots`
  const loads = [
    { targets: [`${snapshots}/${snapshotIdOf(7)}`], connections: 20, mostCpuMs: GET_CPU_MS },
    { targets: [snapshots], connections: 4, mostCpuMs: LIST_CPU_MS },
    { targets: ['/api/v2/instances'], connections: 4, mostCpuMs: LIST_CPU_MS },
  ]
  for (const { targets, connections, mostCpuMs } of loads) {
    await load({ url, key, targets, connections, seconds: 1 }) // what is compiled for it is no part of the figure
    const before = cpuMsOf(server.pid())
    const { answers, perSecond, p99Ms } = await load({ url, key, targets, connections, seconds: 3 })
    const cpuMs = (cpuMsOf(server.pid()) - before) / answers
    t.diagnostic(`${targets[0]}: ${perSecond.toFixed(0)}/s, p99 ${p99Ms.toFixed(1)} ms, CPU ${cpuMs.toFixed(2)} ms`)
    assert.ok(cpuMs < mostCpuMs, `${targets[0]} takes ${cpuMs} ms of CPU`)
  }
  const slow = await startLoad({ url, key, targets: [snapshots], connections: 1, perSecond: 20, seconds: 600 })
  setTimeout(slow.stop, 1000) // before its time
  const { perSecond } = await slow.result
  assert.ok(perSecond < 40, `${perSecond} in a second, and not 20`)
})

test('a load that is refused is no figure', async () => {
  await using server = await startServer({ env: { TINTYPE_RATE_LIMIT: '1' } })
  const order = { url: server.url, key: server.rootKey, targets: ['/api/v2/instances'], connections: 2, seconds: 1 }
  await assert.rejects(load(order), /requests .*"429"/)
})

const result = summarize([4, 1, 2, 3, 100], { refused: {}, lost: 0, elapsedMs: 500, toolCpuMs: 100 })

test('figures come from the time that each answer took', () => {
  assert.deepEqual(result, {
    answers: 5,
    perSecond: 10,
    p50Ms: 3,
    p99Ms: 100,
    slowestMs: 100,
    refused: {},
    lost: 0,
    toolBusy: 0.2,
  })
})

test('a figure is reached by its rate and its time, or missed', () => {
  const rows: readonly (readonly [Parameters<typeof isReached>[0]['mustReach'], boolean | undefined])[] = [
    [undefined, undefined],
    [{ p99Ms: 101 }, true],
    [{ p99Ms: 100 }, false],
    [{ p99Ms: 101, perSecond: 10 }, true],
    [{ p99Ms: 101, perSecond: 11 }, false],
  ]
  for (const [mustReach, isSo] of rows) assert.equal(isReached({ mustReach, result }), isSo)
  const figure = { figure: 'GetInstance', database: 'SQLite', mustReach: { p99Ms: 50, perSecond: 2000 } } as const
  assert.match(
    tableOf([{ ...figure, result, cpuMs: 0.25, loadAverage: 1 }]),
    /\| GetInstance \| SQLite +\| ≥ 2,000\/s, p99 < 50 ms \| 10 +\| 3\.00 ms \| 100 ms \| 0\.250 ms +\| 1\.0 +\| \*\*missed\*\* \|/,
  )
})

test('the figures have a part of the document of their own', () => {
  const section = `${API_HEADING}\n\nfigures\n`
  for (const rest of ['# Benchmarks\n', '# Benchmarks\n\n## Docker\n\ntext\n'])
    assert.deepEqual(cutSection(appendSection(rest, section), API_HEADING), [`${rest}\n`, section])
  assert.deepEqual(cutSection(`${section}\n## Docker\n`, API_HEADING), ['## Docker\n', `${section}\n`])
  assert.deepEqual(cutSection('# Benchmarks\n', API_HEADING), ['# Benchmarks\n', ''])
})

test('a count that is none, or too small for what is asked, is refused', () => {
  for (const args of [
    ['--seconds', '0'],
    ['--instances', 'many'],
    ['--instances', '10'],
    ['--snapshots', '10'],
    ['--x'],
  ])
    assert.throws(() => parseApiOptions(args), { code: 'usage_invalid' }, args.join(' '))
  assert.deepEqual(parseApiOptions([]), { seconds: 10, instances: 100_000, snapshots: 1_000_000 })
})
