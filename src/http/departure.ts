import type { ServerResponse } from 'node:http'
import { AppError } from '#base/errors.ts'

/** When nobody waits for an answer any more. */
export interface Departure {
  /** Fires when the client has gone before its answer was there, or the server ends. */
  readonly signal: AbortSignal
}

/** The departure of one client. Most calls never ask for the signal: it is made when somebody does. */
export function departureOf(response: ServerResponse, ending: AbortSignal): Departure {
  let signal: AbortSignal | undefined
  return {
    get signal() {
      signal ??= AbortSignal.any([goneSignal(response), ending])
      return signal
    },
  }
}

function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const onClose = () => {
    if (!response.writableFinished) controller.abort(new AppError('cancelled', 'The client has gone.'))
  }
  if (response.destroyed || response.closed) onClose()
  else response.once('close', onClose)
  return controller.signal
}
