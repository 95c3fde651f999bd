import { AppError } from './errors.ts'

/** Throws `cancelled` when the signal has fired; call it in every loop. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return
  throw signal.reason instanceof AppError ? signal.reason : new AppError('cancelled', 'Cancelled.')
}

/** Resolves after `ms`, or rejects with `cancelled` as soon as the signal fires. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    throwIfAborted(signal)
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason instanceof AppError ? signal.reason : new AppError('cancelled', 'Cancelled.'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Fires `ms` after `signal` has, with its reason: for work that should end once it has begun, and not for ever. */
export function abortLater(signal: AbortSignal, ms: number): AbortSignal {
  const controller = new AbortController()
  const start = () => void setTimeout(() => controller.abort(signal.reason), ms).unref()
  if (signal.aborted) start()
  else signal.addEventListener('abort', start, { once: true })
  return controller.signal
}
