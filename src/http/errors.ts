import { ACCESS_CODES } from '#access/errors.ts'
import type { WireError } from '#access/errors.ts'
import { AppError, systemCode, toAppError } from '#base/errors.ts'
import type { Details, ErrorKind } from '#base/errors.ts'
import { errorEnvelope } from '#contract/envelope.ts'
import type { Operation, Product } from '#contract/operation.ts'

/** What an error is answered with; `body` is an object for JSON. */
export interface ErrorAnswer {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

export interface ErrorPlace {
  readonly requestId: string
  /** The Host header as it was sent: the gateway's HostId. */
  readonly host: string
  /** Absent: none was found. */
  readonly operation?: Operation | undefined
}

/** PAI-DSW documents two codes: one for bad parameters, one for everything else (dsw-api §1.1, §9 rows 1, 4, 5). */
const BY_KIND: Readonly<Record<ErrorKind, WireError>> = {
  invalid: { status: 400, code: 'ValidationError' },
  not_found: { status: 404, code: 'ValidationError' },
  conflict: { status: 400, code: 'ValidationError' },
  unsupported: { status: 400, code: 'ValidationError' },
  denied: { status: 403, code: 'NoPermission' },
  throttled: { status: 429, code: 'Throttling.User' },
  registry: { status: 400, code: 'ValidationError' },
  unavailable: { status: 503, code: 'ServiceUnavailable' },
  no_space: { status: 503, code: 'ServiceUnavailable' },
  cancelled: { status: 503, code: 'ServiceUnavailable' },
  internal: { status: 500, code: 'InternalError' },
}

const OF_RAM: Readonly<Partial<Record<ErrorKind, WireError>>> = {
  invalid: { status: 400, code: 'InvalidParameter' },
  not_found: { status: 404, code: 'EntityNotExist' },
  conflict: { status: 409, code: 'EntityAlreadyExists' },
}

const OF_EXTENSION: Readonly<Partial<Record<ErrorKind, WireError>>> = {
  conflict: { status: 409, code: 'Conflict' },
  registry: { status: 502, code: 'RegistryError' },
}

const BY_PRODUCT: Readonly<Partial<Record<Product, Readonly<Partial<Record<ErrorKind, WireError>>>>>> = {
  ram: OF_RAM,
  sts: OF_RAM,
  tintype: OF_EXTENSION,
}

const BY_CODE: Readonly<Partial<Record<string, WireError>>> = {
  ...ACCESS_CODES,
  session_invalid: { status: 401, code: 'InvalidSession' },
  csrf_invalid: { status: 403, code: 'InvalidCsrfToken' },
  request_too_large: { status: 413, code: 'RequestEntityTooLarge' },
  tag_exists: { status: 400, code: 'ValidationError' },
}

const DETAIL_FIELDS = [
  'AuthAction',
  'AuthPrincipalType',
  'AuthPrincipalDisplayName',
  'AuthPrincipalOwnerId',
  'NoPermissionType',
  'PolicyType',
  'EncodedDiagnosticMessage',
  'AuthResource',
] as const

/**
 * The one place where an error becomes an answer: by its kind, unless its `details.wireCode` names a documented code.
 * What we did not throw ourselves is `InternalError`, and says nothing of what happened.
 */
export function toErrorAnswer(thrown: unknown, { requestId, host, operation }: ErrorPlace): ErrorAnswer {
  const error = errorOf(thrown)
  const { status, code } = wireError(error, operation?.product)
  const message =
    error.kind === 'internal'
      ? `Something went wrong inside the server: its log says what, under the id ${requestId}.`
      : error.message
  const denied = accessDenied(error.details)
  return {
    status,
    code,
    headers: headersOf(error),
    body: errorEnvelope(operation, {
      requestId,
      hostId: host,
      code,
      message,
      status,
      recommend: '/openapi.json',
      ...(denied && { accessDeniedDetail: denied }),
    }),
  }
}

function wireError({ kind, code, details }: AppError, product: Product | undefined): WireError {
  const usual = BY_CODE[code] ?? (product && BY_PRODUCT[product]?.[kind]) ?? BY_KIND[kind]
  const named = details['wireCode']
  const methodIsWrong = code === 'operation_not_found' && details['methods'] !== undefined
  return { status: methodIsWrong ? 405 : usual.status, code: typeof named === 'string' ? named : usual.code }
}

function accessDenied(details: Details): Readonly<Record<string, string>> | undefined {
  if (details['NoPermissionType'] === undefined) return undefined
  return Object.fromEntries(DETAIL_FIELDS.map((name) => [name, String(details[name] ?? '')]))
}

/** The documented codes tell few things apart; our own command line goes by the code of our table. */
export const OWN_CODE_HEADER = 'x-tintype-error'

/** What SDKs wait before they try again, in ms: `TimeLeft` (dsw-api §5); the cores of 2026 read `x-acs-retry-after`. */
function headersOf({ code, details }: AppError): Readonly<Record<string, string>> {
  const own = { [OWN_CODE_HEADER]: code }
  if (code === 'rate_exceeded') {
    const limits = `Limit:${details['limit']},Remain:0,TimeLeft:${details['timeLeftMs']}`
    const waitMs = String(details['timeLeftMs'])
    return { ...own, 'x-ratelimit-user-api': limits, 'x-acs-retry-after': waitMs, 'retry-after': '1' }
  }
  const methods = details['methods']
  return code === 'operation_not_found' && Array.isArray(methods) ? { ...own, allow: methods.join(', ') } : own
}

/** Any error as one of ours; also what the HTTP library found wrong with a request before we saw it. */
export function errorOf(thrown: unknown): AppError {
  if (!(thrown instanceof Error) || !systemCode(thrown)?.startsWith('FST_ERR_')) return toAppError(thrown)
  if (systemCode(thrown) === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new AppError('request_too_large', 'The body is longer than 1 MiB: send less in one request.')
  const status = 'statusCode' in thrown ? thrown.statusCode : 500
  if (typeof status !== 'number' || status >= 500) return toAppError(thrown)
  return new AppError('request_invalid', `The request is not valid HTTP: ${thrown.message}.`, { cause: thrown })
}
