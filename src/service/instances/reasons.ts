import { toAppError } from '#base/errors.ts'
import type { ErrorCode } from '#base/errors.ts'
import type { RuntimeState } from '#runtime/runtime.ts'

/** Why an instance is in its state: a short code and a sentence (dsw-api §9 row 16). */
export interface Reason {
  readonly reasonCode: string
  readonly reasonMessage: string
}

export const NO_REASON: Reason = { reasonCode: '', reasonMessage: '' }

/** PAI-DSW's words where it has one, and Kubernetes' for an image that cannot be had. */
const CODES: Partial<Record<ErrorCode, string>> = {
  image_not_found: 'ImagePullBackOff',
  registry_denied: 'ImagePullBackOff',
  registry_unavailable: 'ImagePullBackOff',
  registry_refused: 'ImagePullBackOff',
  registry_untrusted: 'ImagePullBackOff',
  insufficient_resource: 'Resource.InsufficientResource',
  internal: 'InternalError',
}

/** The reason for what was thrown. What was not foreseen is not shown: it may name files of the host. */
export function reasonOf(error: unknown): Reason {
  const { code, message } = toAppError(error)
  const reasonCode = CODES[code] ?? code.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
  if (code !== 'internal') return { reasonCode, reasonMessage: message }
  const reasonMessage =
    "Something went wrong that was not foreseen: the server's log has it under the id of this instance."
  return { reasonCode, reasonMessage }
}

/** What became of a container that nobody stopped. Undefined: it runs. */
export function endOf(
  state: RuntimeState | undefined,
): (Reason & { readonly status: 'Stopped' | 'Failed' }) | undefined {
  if (!state)
    return {
      status: 'Failed',
      reasonCode: 'ContainerGone',
      reasonMessage: 'The container was removed by somebody else.',
    }
  if (state.status === 'running' || state.status === 'paused') return undefined
  if (state.isOutOfMemory)
    return {
      status: 'Failed',
      reasonCode: 'OOMKilled',
      reasonMessage: 'The instance used up its memory, and the kernel ended it.',
    }
  if (state.status === 'created')
    return {
      status: 'Failed',
      reasonCode: 'ContainerNotStarted',
      reasonMessage: 'The container was made and never started.',
    }
  const reasonMessage = `The instance's main process ended with ${state.exitCode ?? 'an unknown code'}.`
  if (state.exitCode === 0) return { status: 'Stopped', reasonCode: 'ContainerExited', reasonMessage }
  return { status: 'Failed', reasonCode: 'ContainerExited', reasonMessage }
}
