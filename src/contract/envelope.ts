import type { Operation } from './operation.ts'

/** A failure as it goes on the wire: the gateway's fields, which all clients read. */
export interface WireError {
  /** `ValidationError`, `NoPermission`, `EntityNotExist.User` … */
  readonly code: string
  /** One sentence. */
  readonly message: string
  /** The HTTP status of the answer. */
  readonly status: number
  readonly requestId: string
  /** The host that the client spoke to. */
  readonly hostId: string
  /** Where help is. */
  readonly recommend: string
  /** Who was refused what, and why: for refusals by RAM. */
  readonly accessDeniedDetail?: Readonly<Record<string, string>>
}

const OK = 200

/** The whole answer of an operation that succeeded. `Code` and `Message` are null then, dsw-api §1.1. */
export function successEnvelope(operation: Operation, data: object, requestId: string): Record<string, unknown> {
  switch (operation.envelope) {
    case 'full':
      return { RequestId: requestId, Success: true, Code: null, Message: null, HttpStatusCode: OK, ...data }
    case 'noStatus':
      return { RequestId: requestId, Success: true, Code: null, Message: null, ...data }
    case 'requestId':
      return { RequestId: requestId, ...data }
    case 'requestIdLower':
      return { requestId, ...data }
    case 'none':
      return { ...data }
  }
}

/**
 * The whole answer of an operation that failed, or of a request that is none (`operation` undefined): the gateway's fields
 * and, where the operation has them, those of its own envelope (dsw-api §5 and §9 row 1).
 */
export function errorEnvelope(operation: Operation | undefined, error: WireError): Record<string, unknown> {
  const gateway = {
    RequestId: error.requestId,
    HostId: error.hostId,
    Code: error.code,
    Message: error.message,
    Recommend: error.recommend,
    ...(error.accessDeniedDetail !== undefined && { AccessDeniedDetail: error.accessDeniedDetail }),
  }
  switch (operation?.envelope) {
    case 'full':
      return { ...gateway, Success: false, HttpStatusCode: error.status }
    case 'noStatus':
      return { ...gateway, Success: false }
    case 'requestIdLower':
      return { ...gateway, requestId: error.requestId }
    default:
      return gateway
  }
}
