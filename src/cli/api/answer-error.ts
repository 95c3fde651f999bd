import { AppError, ERRORS } from '#base/errors.ts'
import type { Details, ErrorCode } from '#base/errors.ts'

/** An answer that is none: as it came. */
export interface Refusal {
  readonly status: number
  readonly text: string
  /** The server's own code for it, which it sends beside the documented one. */
  readonly own?: string
}

/** By status, for a server that does not say its own code: PAI-DSW's, or a proxy on the way. */
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'request_invalid',
  401: 'not_permitted',
  403: 'not_permitted',
  404: 'operation_not_found',
  405: 'operation_not_found',
  409: 'name_taken',
  413: 'request_too_large',
  429: 'rate_exceeded',
  502: 'server_unavailable',
  503: 'server_unavailable',
  504: 'server_unavailable',
}

/** What the server refused, as the error that it was there: with its kind, its sentence, and the answer's `Code` in the details. */
export function answerError({ status, text, own }: Refusal): AppError {
  const { code, message, requestId, denied } = readBody(text)
  const details: Details = {
    status,
    ...(code !== undefined && { wireCode: code }),
    ...(requestId !== undefined && { requestId }),
    ...denied,
  }
  const known = own !== undefined && isErrorCode(own) ? own : (BY_STATUS[status] ?? unforeseen(status))
  const sentence = message ?? `The server answered ${status} and no error of its API: check --endpoint.`
  return new AppError(known, sentence, { details })
}

/** What a stream ended with: there is no status any more, and the server's own code is in the event. */
export function eventError(text: string): AppError {
  const { own } = readBody(text)
  return answerError({ status: 500, text, ...(own !== undefined && { own }) })
}

const unforeseen = (status: number): ErrorCode => (status >= 500 ? 'internal' : 'answer_invalid')

/** An answer that is not of this API, or of another version of it. */
export function notUnderstood(what: string): AppError {
  const remedy = 'check --endpoint, and that this command and the server are of the same version'
  return new AppError('answer_invalid', `The server's answer ${what}: ${remedy}.`)
}

/** Why something that the server worked on failed, by the ReasonCode and ReasonMessage that it left. */
export function reasonError(what: string, reason: { readonly code?: string; readonly message?: string }): AppError {
  const { code = '', message = '' } = reason
  const snake = code.replace(/(?!^)[A-Z]/g, '_$&').toLowerCase()
  const known = isErrorCode(snake) ? snake : (REASONS[code] ?? 'internal')
  const sentence = message === '' ? 'The server gives no reason.' : message
  return new AppError(known, `${what} failed: ${sentence}`, { details: { reasonCode: code } })
}

/** Reasons that are not named after an error. */
const REASONS: Readonly<Record<string, ErrorCode>> = {
  ImagePullBackOff: 'image_not_found',
  'Resource.InsufficientResource': 'insufficient_resource',
  OOMKilled: 'limit_exceeded',
  ContainerExited: 'container_gone',
  ContainerNotStarted: 'container_gone',
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text)
}

function readBody(text: string) {
  const body = parseObject(text)
  const said = (name: string) => {
    const value = body[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const detail = body['AccessDeniedDetail']
  const action = typeof detail === 'object' && detail !== null && 'AuthAction' in detail ? detail.AuthAction : undefined
  return {
    code: said('Code'),
    message: said('Message'),
    own: said('Error'),
    requestId: said('RequestId') ?? said('requestId'),
    denied: typeof action === 'string' ? { action } : {},
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
