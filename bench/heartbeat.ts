import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { AppError } from '#base/errors.ts'
import type { Engine } from '#lab/engine.ts'
import type { Container } from '#lab/container.ts'

/** A process in a container that notes the time every millisecond, beside one that writes. */
export interface Heartbeat extends AsyncDisposable {
  /** The longest silences since it was last asked, longest first, milliseconds; 0 when there was none of 2 ms. */
  longestMs(): Promise<number>
}

const SCRIPT = fileURLToPath(new URL('heartbeat.py', import.meta.url))

/** What a busy container writes (design.md §9). */
export const USUAL_RATE = 20e6

/** Start the two; the second writes so many bytes in a second, and is not there for 0. The image needs Python. */
export async function startHeartbeat(
  engine: Engine,
  container: Container,
  bytesPerSecond = USUAL_RATE,
): Promise<Heartbeat> {
  const [program, ...before] = engine.command
  const script = ['python3', '-c', readFileSync(SCRIPT, 'utf8'), String(bytesPerSecond)]
  const inside = ['exec', '--interactive', container.id, ...script]
  const child = spawn(program, [...before, ...inside], { stdio: ['pipe', 'pipe', 'inherit'], env: engine.env })
  const ended = once(child, 'close')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async () => {
    const { done, value } = await lines.next()
    if (done) throw new AppError('internal', 'The heartbeat in the container ended early.')
    return value
  }
  await line()
  return {
    async longestMs() {
      child.stdin.write('\n')
      const silences = JSON.parse(await line()) as readonly number[]
      return silences[0] ?? 0
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      await ended
    },
  }
}
