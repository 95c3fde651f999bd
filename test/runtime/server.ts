/** Stands in for a server that is to be killed: it saves an instance, as its arguments say, and confirms the manifest. */
import { readFileSync } from 'node:fs'
import { openDockerRuntime } from '#runtime/docker/docker-runtime.ts'
import type { CaptureRequest, RuntimeHandle } from '#runtime/runtime.ts'

export interface ServerOrders {
  readonly socketPath: string
  readonly home: string
  readonly handle: RuntimeHandle
  readonly request: CaptureRequest
}

const orders = JSON.parse(readFileSync(0, 'utf8')) as ServerOrders
const runtime = openDockerRuntime({ ...orders, zstdEverywhere: false })
const run = runtime.startCapture(orders.handle, orders.request)
for await (const event of run.events) {
  process.stdout.write(`${event.type}\n`)
  if (event.type === 'manifest') run.confirmManifest()
}
await run.result
