import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runProgram } from '#base/process.ts'
import { EXAMPLES } from '#contract/examples.ts'
import { openApiDocument } from '#contract/openapi.ts'
import { OPERATIONS } from '#contract/operations.ts'
import type { Operation } from '#contract/operation.ts'
import { pythonPackages } from '#lab/python.ts'
import { DOCUMENTED } from './contract-file.ts'
import type { DocumentedField } from './contract-file.ts'

interface OperationObject {
  readonly operationId: string
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required?: boolean }[]
  readonly responses: Readonly<Record<string, unknown>>
}
interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>
  readonly 'x-rpc-operations': readonly OperationObject[]
}

const options = { serverUrl: 'http://127.0.0.1:8080', version: '0.1.0' }
const text = JSON.stringify(openApiDocument(options))
const document = JSON.parse(text) as Document
const operations: readonly Operation[] = Object.values(OPERATIONS)
const described = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, object]) => ({ path, method: method.toUpperCase(), object })),
)

/** The document, changed by `change`, as the judge sees it: its exit code and its words. */
async function judge(change: (document: Record<string, unknown>) => void = () => undefined) {
  const copy = JSON.parse(text) as Record<string, unknown>
  change(copy)
  const PYTHONPATH = await pythonPackages(['openapi-spec-validator==0.9.0'])
  return await runProgram('python3', ['-m', 'openapi_spec_validator', '--schema', '3.1', '-'], {
    input: JSON.stringify(copy),
    env: { ...process.env, PYTHONPATH },
  })
}

test('openapi-spec-validator finds nothing wrong with the document', async () => {
  const { exitCode, stdout, stderr } = await judge()
  assert.equal(exitCode, 0, `${stdout}${stderr}`)
})

test('openapi-spec-validator would find a parameter of a path that is not described', async () => {
  const { exitCode, stdout, stderr } = await judge(({ paths }) => {
    ;(paths as Record<string, unknown>)['/a/{B}'] = { get: { responses: { 200: { description: 'Done.' } } } }
  })
  assert.notEqual(exitCode, 0)
  assert.match(`${stdout}${stderr}`, /'B'/)
})

test('each operation with a path is described at its path and method, once', () => {
  const expected = operations.filter(({ style }) => style === 'ROA')
  assert.deepEqual(
    described.map(({ path, method, object }) => `${object.operationId} ${method} ${path}`).sort(),
    expected.map(({ action, method, path }) => `${action} ${method} ${path}`).sort(),
  )
})

test('the operations of RAM and STS are described beside the paths', () => {
  const expected = operations.filter(({ style }) => style === 'RPC').map(({ action }) => action)
  assert.deepEqual(
    document['x-rpc-operations'].map(({ operationId }) => operationId),
    expected,
  )
})

test('each operation says what it answers when it fails', () => {
  for (const { object } of described)
    for (const status of [200, 400, 403, 404, 408, 413, 429, 431, 500, 503])
      assert.ok(status in object.responses, `${object.operationId}: ${status}`)
})

test('each parameter is described, and required where it is', () => {
  for (const { object } of described) {
    const { params, query } = operations.find(({ action }) => action === object.operationId)!
    const names = [...Object.keys(params.properties), ...Object.keys(query.properties)]
    assert.deepEqual(
      (object.parameters ?? []).map(({ name }) => name),
      names,
    )
  }
  const { object } = described.find(({ object: { operationId } }) => operationId === 'ListInstances')!
  assert.deepEqual(
    (object.parameters ?? []).filter(({ required }) => required).map(({ name }) => name),
    [],
  )
})

test('nothing of the library that makes the schemas is in the document', () => {
  assert.doesNotMatch(text, /"~|"x-(?:rule|case)"|patternProperties/)
})

test('the same options give the same bytes', () => {
  assert.equal(JSON.stringify(openApiDocument(options)), text)
})

test('every example is one of the documented ones for its name', () => {
  const documented = new Map<string, Set<string>>()
  const collect = ({ name, example, fields = [] }: DocumentedField): void => {
    documented.set(name, (documented.get(name) ?? new Set()).add(String(example)))
    fields.forEach(collect)
  }
  for (const { operation } of DOCUMENTED)
    [...operation.pathParams, ...operation.query, ...operation.body, ...operation.response.fields].forEach(collect)
  for (const [name, example] of Object.entries(EXAMPLES))
    assert.ok(documented.get(name)?.has(String(example)), `${name}: ${example}`)
})

test('an example that breaks the rule of its field is not shown', () => {
  assert.equal(EXAMPLES['SnapshotName'], 'training_data_env')
  assert.ok(text.includes('"SnapshotDescription":{"type":"string","maxLength":4096,"examples":["training_data_env"]}'))
  assert.doesNotMatch(text, /"SnapshotName":\{[^{}]*"pattern"[^{}]*"examples"/)
})
