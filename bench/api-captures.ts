import { loadavg } from 'node:os'
import { sleep } from '#base/abort.ts'
import { systemClock } from '#base/clock.ts'
import { AppError } from '#base/errors.ts'
import { labEngine, type Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry } from '#lab/registry.ts'
import { startServer } from '#lab/server.ts'
import { signedClient } from '#lab/signed-client.ts'
import type { ApiFigure } from './api-figures.ts'
import type { Say } from './api-measure.ts'
import { cpuMsOf, startLoad } from './load.ts'

const AT_ONCE = 10
const PER_SECOND = 50
/** 60 MB that no compressor makes smaller in each. */
const FILL = 'mkdir /data; for i in $(seq 3000); do head -c 20000 /dev/urandom > /data/$i; done; touch /filled'
const LONGEST_S = 600
const ASK_MS = 250

type Call = (method: string, body?: object) => Promise<Record<string, unknown>>

/** Ten snapshots asked for at once, on all cores, while GetInstance is asked; the server makes as many of them at a time as it does by itself. */
export async function measureCaptures(say: Say): Promise<ApiFigure & { readonly capturesMs: number }> {
  await using engine = await labEngine('docker20')
  await using registry = await startRegistry()
  await using server = await startServer({ engine, env: { TINTYPE_RATE_LIMIT: '0' } })
  const client = signedClient(server.url, server.rootKey)
  const call: Call = async (line, body) => {
    const answer = await client(line, body === undefined ? {} : { body })
    if (answer.status === 200) return answer.json
    throw new AppError('internal', `${line}: ${answer.text}`)
  }
  say(`${AT_ONCE} instances`)
  const ids = await createInstances(engine, call)
  say(`${AT_ONCE} snapshots at once`)
  const targets = ids.map((id) => `/api/v2/instances/${id}`)
  const order = { url: server.url, key: server.rootKey, targets, connections: AT_ONCE, perSecond: PER_SECOND }
  const loadAverage = loadavg()[0]!
  const cpuMs = cpuMsOf(server.pid())
  const load = await startLoad({ ...order, seconds: LONGEST_S })
  const startedMs = systemClock.monotonicMs()
  for (const [i, id] of ids.entries())
    await call(`POST /api/v2/instances/${id}/snapshots`, { SnapshotName: `s${i}`, ImageUrl: `${registry.host}/bench` })
  for (const id of ids) await waitForEnd(call, id)
  const capturesMs = systemClock.monotonicMs() - startedMs
  load.stop()
  const result = await load.result
  return {
    figure: `GetInstance, ${PER_SECOND}/s, during ${AT_ONCE} snapshots`,
    database: 'SQLite',
    mustReach: { p99Ms: 200 },
    result,
    cpuMs: (cpuMsOf(server.pid()) - cpuMs) / result.answers,
    loadAverage,
    capturesMs,
  }
}

async function createInstances(engine: Engine, call: Call): Promise<readonly string[]> {
  const ImageUrl = await busyboxImage(engine)
  const body = { EcsSpec: 'ecs.n4.small', ImageUrl, UserCommand: { OnStart: { Content: FILL } } }
  const ids: string[] = []
  for (let i = 0; i < AT_ONCE; i++) {
    const { InstanceId } = await call('POST /api/v2/instances', { ...body, InstanceName: `bench_${i}` })
    ids.push(String(InstanceId))
  }
  for (const id of ids) {
    while ((await call(`GET /api/v2/instances/${id}`))['Status'] !== 'Running') await sleep(ASK_MS)
    const container = await engine.docker(['ps', '-q', '--filter', `label=io.tintype.instance=${id}`])
    while ((await engine.docker(['exec', container, 'sh', '-c', 'ls /filled || true'])) === '') await sleep(ASK_MS)
  }
  return ids
}

/** Throws `internal` for one that failed: there would be nothing to measure. */
async function waitForEnd(call: Call, instanceId: string): Promise<void> {
  for (;;) {
    const { Snapshots } = await call(`GET /api/v2/instances/${instanceId}/snapshots`)
    const [snapshot] = Snapshots as Record<string, string>[]
    if (snapshot?.['Status'] === 'Saved') return
    if (snapshot?.['Status'] === 'Failed') throw new AppError('internal', `Failed: ${snapshot['ReasonMessage']}`)
    await sleep(ASK_MS)
  }
}
