import type { TObject } from 'typebox'
import { isRequired, jsonSchema } from './json-schema.ts'
import type { JsonSchema } from './json-schema.ts'
import { ERROR_COMPONENTS, ERRORS_OF_ALL, ERRORS_OF_OWN, SECURITY_SCHEMES, withEnvelope } from './openapi-parts.ts'
import type { Operation, Product } from './operation.ts'
import { OPERATIONS } from './operations.ts'

export interface OpenApiOptions {
  /** Where the server is: `http://127.0.0.1:8080`. */
  readonly serverUrl: string
  /** The version of Tintype. */
  readonly version: string
}

const TAGS: Readonly<Record<Product, string>> = {
  'pai-dsw': 'PAI-DSW 2022-01-01: instances and their snapshots',
  aiworkspace: 'AIWorkSpace 2021-02-04: the catalogue of images',
  ram: 'RAM 2015-05-01: users, keys, policies, roles',
  sts: 'STS 2015-04-01: short-lived credentials',
  tintype: 'What the documented API has no operation for',
}

const DESCRIPTION = `Saves running containers as images in a registry, over the API of PAI-DSW.

Every request is signed (ACS3-HMAC-SHA256) and names its operation in the headers \`x-acs-action\` and \`x-acs-version\`.
The operations of RAM and STS have no path of their own: they are all \`POST /\` with their parameters in the query, and only
these headers tell them apart. OpenAPI has no form for that, so they are described under \`x-rpc-operations\`, each as an
operation object.`

/** The OpenAPI 3.1 document of all operations. Plain JSON; the same options give the same document. */
export function openApiDocument(options: OpenApiOptions): JsonSchema {
  const operations: readonly Operation[] = Object.values(OPERATIONS)
  const roa = operations.filter(({ style }) => style === 'ROA')
  const paths = [...new Set(roa.map(({ path }) => path))].sort()
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tintype',
      version: options.version,
      description: DESCRIPTION,
      license: { name: 'Apache License 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: options.serverUrl }],
    security: [{ acs3: [] }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths: Object.fromEntries(
      paths.map((path) => [path, pathItem(roa.filter((operation) => operation.path === path))]),
    ),
    components: { securitySchemes: SECURITY_SCHEMES, ...ERROR_COMPONENTS },
    'x-rpc-operations': operations.filter(({ style }) => style === 'RPC').map(operationObject),
  }
}

function pathItem(operations: readonly Operation[]): JsonSchema {
  return Object.fromEntries(operations.map((operation) => [operation.method.toLowerCase(), operationObject(operation)]))
}

function operationObject(operation: Operation): JsonSchema {
  const { action, version, product, summary, ram, body } = operation
  const parameters = [...pathParameters(operation.params), ...queryParameters(operation)]
  return {
    operationId: action,
    summary,
    tags: [product],
    'x-acs-action': action,
    'x-acs-version': version,
    'x-ram-action': ram.action,
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: requestBody(body) }),
    responses: { 200: success(operation), ...ERRORS_OF_ALL, ...(product === 'pai-dsw' ? {} : ERRORS_OF_OWN) },
  }
}

function pathParameters(params: TObject): readonly JsonSchema[] {
  return Object.entries(params.properties).map(([name, schema]) => {
    return { name, in: 'path', required: true, schema: jsonSchema(schema, name) }
  })
}

function queryParameters({ query, jsonQuery }: Operation): readonly JsonSchema[] {
  return Object.entries(query.properties).map(([name, property]) => {
    const schema = jsonSchema(property, name)
    const form = jsonQuery.includes(name) ? { content: { 'application/json': { schema } } } : { schema }
    return { name, in: 'query', ...(isRequired(query, name) && { required: true }), ...form }
  })
}

function requestBody(body: TObject): JsonSchema {
  const required = Object.keys(body.properties).some((name) => isRequired(body, name))
  return { required, content: { 'application/json': { schema: jsonSchema(body) } } }
}

function success(operation: Operation): JsonSchema {
  const schema = withEnvelope(operation.envelope, jsonSchema(operation.response))
  if (!operation.stream) return { description: 'Done.', content: { 'application/json': { schema } } }
  const description = 'Server-sent events. The data of each is one JSON text of the schema in `x-event-data`.'
  return { description, content: { 'text/event-stream': { schema: { type: 'string' }, 'x-event-data': schema } } }
}
