import { throwIfAborted } from '#base/abort.ts'
import { AppError } from '#base/errors.ts'
import { buildIfStale } from '../scripts/bundle.ts'

const EXIT_CODES: Readonly<Record<string, number>> = { usage_invalid: 2, cancelled: 130 }

/** Tells the user what comes next. Throws `cancelled` when it is time to stop. */
export type OnStep = (text: string) => void

/** The frame of a measurement: builds what is measured, says how long it has been under way, and ends with an exit code. */
export async function run(main: (onStep: OnStep) => Promise<void>): Promise<void> {
  const started = performance.now()
  // What is under way ends first, and then the engine is removed.
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())
  try {
    await buildIfStale()
    await main((text) => {
      throwIfAborted(stopped.signal)
      console.error(`[${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s] ${text}`)
    })
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    console.error(`bench: ${error.message}`)
    process.exitCode = EXIT_CODES[error.code] ?? 1
  }
}
