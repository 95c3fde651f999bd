/**
 * One run of autocannon with requests that are signed one by one: `node bench/load-tool.ts DIRECTORY`, the order as JSON
 * on its input. It runs for the order's time, or until its input ends; then it prints a LoadResult as JSON. It is a
 * process of its own so that it can have a core of its own.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { canonicalQuery } from '#access/request.ts'
import { ACS3, canonicalRequest, stringToSign, type SigningKey } from '#access/sign.ts'
import { systemClock } from '#base/clock.ts'
import { summarize, type LoadOrder, type LoadResult } from './load.ts'

/** What is used of autocannon, which has no types of its own. */
interface Autocannon {
  (options: object): Promise<{ readonly errors: number; readonly timeouts: number }> & {
    stop(): void
    on(event: 'response', listener: (client: unknown, status: number, bytes: number, timeMs: number) => void): void
  }
}

const EMPTY_SHA256 = createHash('sha256').digest('hex')
const lines = createInterface({ input: process.stdin })
const { value } = await lines[Symbol.asyncIterator]().next()
console.log(JSON.stringify(await run(JSON.parse(String(value)) as LoadOrder)))
process.exit()

async function run(order: LoadOrder): Promise<LoadResult> {
  const autocannon = createRequire(import.meta.url)(process.argv[2] ?? '') as Autocannon
  const { connections, perSecond, seconds, key, targets } = order
  const host = new URL(order.url).host
  let next = 0
  const running = autocannon({
    url: order.url,
    connections,
    ...(perSecond !== undefined && { overallRate: perSecond }),
    duration: seconds,
    requests: [
      {
        setupRequest: (request: object) => {
          const target = targets[next++ % targets.length] ?? '/'
          return { ...request, path: target, headers: sign(target, host, key) }
        },
      },
    ],
  })
  const timesMs: number[] = []
  const refused: Record<string, number> = {}
  running.on('response', (_client, status, _bytes, timeMs) => {
    timesMs.push(timeMs)
    if (status !== 200) refused[status] = (refused[status] ?? 0) + 1
  })
  lines.on('close', () => running.stop())
  const startedMs = systemClock.monotonicMs()
  const cpu = process.cpuUsage()
  const { errors, timeouts } = await running
  const { user, system } = process.cpuUsage(cpu)
  const elapsedMs = systemClock.monotonicMs() - startedMs
  return summarize(timesMs, { refused, lost: errors + timeouts, elapsedMs, toolCpuMs: (user + system) / 1000 })
}

/** As `signAcs3` does; by node:crypto, because what signs here must not be what is measured. */
function sign(target: string, host: string, key: SigningKey): Record<string, string> {
  const [path = '/', query = ''] = target.split('?')
  const headers = {
    host,
    'x-acs-content-sha256': EMPTY_SHA256,
    'x-acs-date': new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    'x-acs-signature-nonce': randomBytes(16).toString('hex'),
  }
  const canonical = canonicalRequest({
    method: 'GET',
    path,
    query: canonicalQuery(query),
    headers: Object.entries(headers),
    bodySha256: EMPTY_SHA256,
  })
  const text = stringToSign(createHash('sha256').update(canonical).digest('hex'))
  const signature = createHmac('sha256', key.secret).update(text).digest('hex')
  const signed = Object.keys(headers).join(';')
  return { ...headers, authorization: `${ACS3} Credential=${key.id},SignedHeaders=${signed},Signature=${signature}` }
}
