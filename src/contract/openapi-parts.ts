import type { JsonSchema } from './json-schema.ts'
import type { Envelope } from './operation.ts'

/** How a request proves whom it comes from. */
export const SECURITY_SCHEMES = {
  acs3: {
    type: 'apiKey',
    in: 'header',
    name: 'Authorization',
    description:
      'ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=… over the method, the path, the query, the body and the headers ' +
      'host, x-acs-action, x-acs-content-sha256, x-acs-date, x-acs-signature-nonce and x-acs-version.',
  },
} as const

const RESPONSES = {
  BadRequest: 'A parameter is wrong, or what is asked for cannot be done now. The message names what and why.',
  Forbidden: 'The caller may not do this, or has not proved who it is.',
  NotFound: 'There is no such thing, or the caller may not know of it.',
  Conflict: 'It is there already, or is in use.',
  TooLarge: 'The request is longer than the server takes.',
  TooSlow: 'The request took too long to arrive.',
  HeadersTooLarge: 'The query and the headers are longer than the server takes.',
  TooManyRequests: 'The account calls this operation too often.',
  InternalError: 'The server failed. The log has the request id.',
  BadGateway: 'A registry refused, or did not answer.',
  Unavailable: 'The server or what it needs is not ready; try again.',
} as const

const ERROR_SCHEMA = {
  type: 'object',
  description: 'What every failure answers. Success and HttpStatusCode are there for operations that have them.',
  properties: {
    RequestId: { type: 'string' },
    HostId: { type: 'string' },
    Code: { type: 'string' },
    Message: { type: 'string' },
    Recommend: { type: 'string' },
    Success: { const: false },
    HttpStatusCode: { type: 'integer', format: 'int32' },
    requestId: { type: 'string' },
    AccessDeniedDetail: { type: 'object', additionalProperties: { type: 'string' } },
  },
  required: ['RequestId', 'HostId', 'Code', 'Message', 'Recommend'],
} as const

/** The schema and the answers that operations refer to. */
export const ERROR_COMPONENTS = {
  schemas: { Error: ERROR_SCHEMA },
  responses: Object.fromEntries(
    Object.entries(RESPONSES).map(([name, description]) => [
      name,
      { description, content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } },
    ]),
  ),
}

const response = (name: keyof typeof RESPONSES) => ({ $ref: `#/components/responses/${name}` })

/** The failures of every operation, by HTTP status. */
export const ERRORS_OF_ALL = {
  400: response('BadRequest'),
  403: response('Forbidden'),
  404: response('NotFound'),
  408: response('TooSlow'),
  413: response('TooLarge'),
  429: response('TooManyRequests'),
  431: response('HeadersTooLarge'),
  500: response('InternalError'),
  503: response('Unavailable'),
}

/** Those that PAI-DSW says with 400. */
export const ERRORS_OF_OWN = { 409: response('Conflict'), 502: response('BadGateway') }

const REQUEST_ID = { RequestId: { type: 'string', examples: ['E7D55162-4489-1619-AAF5-3F97D5FCA948'] } }
const NO_STATUS = {
  ...REQUEST_ID,
  Success: { type: 'boolean' },
  Code: { type: ['string', 'null'] },
  Message: { type: ['string', 'null'] },
}
const FIELDS: Readonly<Record<Envelope, JsonSchema>> = {
  full: { ...NO_STATUS, HttpStatusCode: { type: 'integer', format: 'int32' } },
  noStatus: NO_STATUS,
  requestId: REQUEST_ID,
  requestIdLower: { requestId: { type: 'string' } },
  none: {},
}

/** The schema of a whole answer: the data, and the fields of its envelope, which are always there. */
export function withEnvelope(envelope: Envelope, data: JsonSchema): JsonSchema {
  const own = FIELDS[envelope]
  const required = Object.keys(own)
  return { ...data, properties: { ...own, ...Object(data['properties']) }, ...(required.length > 0 && { required }) }
}
