import { isUtf8 } from 'node:buffer'
import { decodeQuery } from '#access/request.ts'
import { AppError } from '#base/errors.ts'
import type { Action, BodyOf, OPERATIONS, ParamsOf, QueryOf } from '#contract/operations.ts'
import { validateBody, validateParams, validateQuery } from '#contract/validate.ts'
import { rpcParameters } from './received.ts'
import type { Received } from './received.ts'
import type { Found } from './router.ts'

export type AnyOperation = (typeof OPERATIONS)[Action]

/** What a request asks for, in the types of the contract. */
export interface CallInput {
  readonly params: ParamsOf<Action>
  readonly query: QueryOf<Action>
  readonly body: BodyOf<Action>
}

/** Read path, query and body. Throws `validation_failed` and `request_invalid`, naming what is wrong. */
export function readCall({ operation, params }: Found<AnyOperation>, received: Received): CallInput {
  const isRpc = operation.style === 'RPC'
  const query = decodeQuery(isRpc ? rpcParameters(received) : received.rawQuery)
  return {
    params: validateParams(operation, params),
    query: validateQuery(operation, Object.fromEntries(query)),
    body: validateBody(operation, operation.body === undefined ? undefined : parseJson(received.body)),
  }
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined
  if (!isUtf8(bytes)) throw notJson()
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw notJson(cause)
  }
}

function notJson(cause?: unknown): AppError {
  const message = 'The body is not JSON in UTF-8: send one JSON object.'
  return new AppError('request_invalid', message, cause === undefined ? {} : { cause })
}
