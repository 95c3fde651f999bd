import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { IsArray, IsBoolean, IsEnum, IsInteger, IsObject, IsString } from 'typebox'
import type { TSchema } from 'typebox'
import type { Operation } from '#contract/operation.ts'
import { OPERATIONS } from '#contract/operations.ts'
import { pythonPackages } from '#lab/python.ts'
import { mustRun } from '#lab/workspace.ts'

const SDKS = [
  { product: 'ram', module: 'alibabacloud_ram20150501', version: '1.3.0' },
  { product: 'sts', module: 'alibabacloud_sts20150401', version: '1.2.0' },
] as const

interface Sample {
  readonly request: unknown
  readonly answer: unknown
}

/** What the official SDKs send and read, with every field filled in. */
let samples: Readonly<Record<string, Sample>> = {}
const operations = (Object.values(OPERATIONS) as readonly Operation[]).filter(({ style }) => style === 'RPC')

before(async () => {
  const PYTHONPATH = await pythonPackages(SDKS.map(({ module, version }) => `${module}==${version}`))
  for (const { product, module } of SDKS) {
    const actions = operations.filter((operation) => operation.product === product).map(({ action }) => action)
    const args = ['test/contract/sdk-samples.py', module, ...actions]
    const printed = await mustRun('python3', args, { env: { ...process.env, PYTHONPATH } })
    samples = { ...samples, ...(JSON.parse(printed.toString()) as Record<string, Sample>) }
  }
})

for (const operation of operations) {
  test(`${operation.action} takes what the official SDK sends, under the same names`, () => {
    assertSame(operation.query, samples[operation.action]!.request, '')
  })

  test(`${operation.action} answers what the official SDK reads, under the same names`, () => {
    const { RequestId, ...answer } = samples[operation.action]!.answer as Record<string, unknown>
    assert.equal(RequestId, 'text', 'the envelope has a RequestId')
    assertSame(operation.response, answer, '')
  })
}

test('lists that are sent are one JSON text', () => {
  for (const { action, jsonQuery } of operations) {
    const request = samples[action]!.request as Record<string, unknown>
    assert.deepEqual(
      [...jsonQuery],
      Object.keys(request).filter((name) => Array.isArray(request[name])),
      action,
    )
  }
})

/** Both ways: the same names at every level, and the same types. */
function assertSame(schema: TSchema, sample: unknown, at: string): void {
  if (IsObject(schema)) {
    assert.ok(typeof sample === 'object' && sample !== null, at)
    assert.deepEqual(
      Object.keys(schema.properties).sort(),
      Object.keys(sample).sort(),
      `fields of ${at || 'the top level'}`,
    )
    for (const [name, value] of Object.entries(sample)) assertSame(schema.properties[name]!, value, `${at}${name}.`)
  } else if (IsArray(schema)) {
    assert.ok(Array.isArray(sample), at)
    assertSame(schema.items, sample[0], `${at}[].`)
  } else {
    const type = IsString(schema) || IsEnum(schema) ? 'string' : IsBoolean(schema) ? 'boolean' : 'number'
    assert.equal(type, typeof sample, at)
    if (type === 'number') assert.equal(IsInteger(schema), Number.isInteger(sample), at)
  }
}
