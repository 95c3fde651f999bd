import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMetrics, serveMetrics } from './metrics.ts'

const LISTEN = { host: '127.0.0.1', port: 0 }

test('numbers are looked up when they are asked for; a status that nothing has any more is not told', async () => {
  const metrics = openMetrics()
  let counts = new Map([['Running', 2]])
  metrics.gaugeByStatus('tintype_instances', 'Instances by status.', async () => counts)
  metrics.gauge('tintype_captures_running', 'Captures.', () => 3)
  await using server = await serveMetrics(metrics, LISTEN)
  const ask = async () => (await fetch(server.url)).text()
  assert.match(await ask(), /^tintype_instances\{status="Running"\} 2$/m)
  counts = new Map([['Stopped', 1]])
  const second = await ask()
  assert.match(second, /^tintype_instances\{status="Stopped"\} 1$/m)
  assert.match(second, /^tintype_captures_running 3$/m)
  assert.doesNotMatch(second, /"Running"/)
})

test('what cannot be looked up is left out, and the rest is told', async () => {
  const metrics = openMetrics()
  metrics.gaugeByStatus('tintype_instances', 'Instances by status.', async () => {
    throw new Error('The database is away.')
  })
  metrics.answered('GetInstance', 200, 0.01)
  const text = await metrics.text()
  assert.doesNotMatch(text, /^tintype_instances\{/m)
  assert.match(text, /^tintype_http_requests_total\{action="GetInstance",status="200"\} 1$/m)
})

test('nothing but GET /metrics is answered', async () => {
  await using server = await serveMetrics(openMetrics(), LISTEN)
  const statuses = [
    (await fetch(server.url, { method: 'POST' })).status,
    (await fetch(server.url.replace('/metrics', '/'))).status,
    (await fetch(`${server.url}?a=b`)).status,
  ]
  assert.deepEqual(statuses, [404, 404, 200])
})
