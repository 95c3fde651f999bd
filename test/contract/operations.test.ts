import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IsArray, IsBoolean, IsEnum, IsInteger, IsNumber, IsObject, IsRecord, IsString, IsUnknown } from 'typebox'
import type { TObject, TSchema } from 'typebox'
import type { Envelope, Operation } from '#contract/operation.ts'
import { OPERATIONS } from '#contract/operations.ts'
import { DOCUMENTED } from './contract-file.ts'
import type { DocumentedField } from './contract-file.ts'

/** What we take beyond the documented API. */
const OWN_QUERY: Record<string, readonly string[]> = { DeleteInstanceSnapshot: ['DeleteImage'] }
const ENVELOPE_FIELDS: Record<Envelope, readonly string[]> = {
  full: ['RequestId', 'Success', 'Code', 'Message', 'HttpStatusCode'],
  noStatus: ['RequestId', 'Success', 'Code', 'Message'],
  requestId: ['RequestId'],
  requestIdLower: ['requestId'],
  none: [],
}
const operations: Record<string, Operation> = OPERATIONS

for (const { product, operation: documented } of DOCUMENTED) {
  const { action } = documented
  const operation = operations[action]!

  test(`${action} is called as documented`, () => {
    assert.ok(operation, 'it is missing')
    const { product: ours, version, method, path, style } = operation
    assert.deepEqual(
      { product: ours, version, method, path, style },
      {
        product,
        version: documented.version,
        method: documented.method,
        path: documented.path,
        style: documented.style,
      },
    )
  })

  test(`${action} has the documented parameters in the path, and no other`, () => {
    assertSame(operation.params, documented.pathParams, [])
  })

  test(`${action} has the documented parameters in the query, and no other`, () => {
    assertSame(operation.query, documented.query, OWN_QUERY[action] ?? [])
    const json = documented.query.filter(({ wireEncoding }) => wireEncoding === 'json').map(({ name }) => name)
    assert.deepEqual([...operation.jsonQuery].sort(), json.sort())
  })

  test(`${action} has the documented body, and no other field`, () => {
    if (documented.body.length === 0) assert.equal(operation.body, undefined)
    else assertSame(operation.body!, documented.body, [])
  })

  test(`${action} answers with the documented fields, and no other`, () => {
    const envelope = ENVELOPE_FIELDS[operation.envelope]
    const names = documented.response.fields.map(({ name }) => name)
    for (const name of envelope)
      assert.ok(names.includes(name), `the envelope has ${name}, the documented answer has not`)
    assertSame(
      operation.response,
      documented.response.fields.filter(({ name }) => !envelope.includes(name)),
      [],
    )
    for (const name of ENVELOPE_FIELDS.full)
      assert.ok(!(name in operation.response.properties), `${name} is of the envelope`)
  })
}

/** Both ways: each documented field is there, and each of ours is documented or one of `own`. */
function assertSame(schema: TObject, documented: readonly DocumentedField[], own: readonly string[], at = ''): void {
  const ours = Object.keys(schema.properties).filter((name) => !own.includes(name))
  assert.deepEqual(ours.sort(), documented.map(({ name }) => name).sort(), `fields of ${at || 'the top level'}`)
  for (const field of documented) {
    const property = schema.properties[field.name]!
    assertType(property, field, `${at}${field.name}`)
    // What has a default may be left out: it is filled in before anyone reads it.
    const isRequired =
      ((schema.required as readonly string[] | undefined) ?? []).includes(field.name) && !('default' in property)
    assert.equal(isRequired, field.required, `${at}${field.name} is ${field.required ? 'required' : 'optional'}`)
  }
}

function assertType(schema: TSchema, field: DocumentedField, at: string): void {
  const isOfType = {
    string: () => IsString(schema) || (IsEnum(schema) && schema.enum.every((value) => typeof value === 'string')),
    boolean: () => IsBoolean(schema),
    number: () => (field.format?.startsWith('int') ? IsInteger(schema) : IsNumber(schema)),
    object: () => IsObject(schema),
    array: () => IsArray(schema),
    map: () => IsRecord(schema),
  }[field.type]
  assert.ok(isOfType(), `${at} is a ${field.type}`)
  if (field.format !== undefined)
    assert.equal((schema as { format?: string }).format, field.format, `${at} is ${field.format}`)
  if (IsObject(schema)) assertSame(schema, field.fields!, [], `${at}.`)
  if (IsArray(schema)) assertItems(schema.items, field, at)
  if (IsRecord(schema)) assertValues(Object.values(schema.patternProperties)[0]!, field.itemType!, at)
}

function assertItems(items: TSchema, field: DocumentedField, at: string): void {
  if (IsArray(items)) assert.equal(field.itemType, 'array', `${at} is a list of lists`)
  const inner = IsArray(items) ? items.items : items
  if (IsObject(inner)) assertSame(inner, field.fields!, [], `${at}[].`)
  else
    assert.ok(IsString(inner) && field.itemType === 'string' && field.fields === undefined, `${at} is a list of texts`)
}

function assertValues(value: TSchema, itemType: string, at: string): void {
  const isOfType = { string: IsString(value), any: IsUnknown(value), map: IsRecord(value) }[itemType]
  assert.ok(isOfType, `${at} is a map of ${itemType}`)
}

test('all 46 operations of PAI-DSW and all 8 of images are there', () => {
  assert.equal(DOCUMENTED.length, 54)
  const ours = Object.values(operations).filter(({ product }) => product === 'pai-dsw' || product === 'aiworkspace')
  assert.equal(ours.length, 54)
})

test('the values that the contract lists are those that we take', () => {
  let compared = 0
  for (const { operation: documented } of DOCUMENTED) {
    const { body, query } = operations[documented.action]!
    for (const [schema, fields] of [
      [query, documented.query],
      [body, documented.body],
    ] as const) {
      for (const { name, listedValues = [], type } of fields) {
        const property = schema?.properties[name]
        if (type !== 'string' || listedValues.length === 0 || property === undefined || !IsEnum(property)) continue
        assert.deepEqual([...property.enum].sort(), [...listedValues].sort(), `${documented.action} ${name}`)
        compared += 1
      }
    }
  }
  assert.ok(compared >= 15, `only ${compared} were compared`)
})

test('an operation is found under its own name', () => {
  for (const [name, { action }] of Object.entries(operations)) assert.equal(action, name)
})

test('no two operations answer to one method, path and version', () => {
  const lines = Object.values(operations).map(({ action, style, method, path, version }) =>
    style === 'RPC' ? `${action} ${version}` : `${method} ${path.replaceAll(/\{\w+\}/g, '{}')} ${version}`,
  )
  assert.equal(new Set(lines).size, lines.length)
})

test('a GET changes nothing, but for the one that hands out a credential', () => {
  const changing = Object.values(operations).filter(({ method, isChange }) => method === 'GET' && isChange)
  assert.deepEqual(
    changing.map(({ action }) => action),
    ['GetToken'],
  )
})

test('what is no GET and changes nothing is named', () => {
  const harmless = Object.values(operations).filter(
    ({ style, method, isChange }) => style === 'ROA' && method !== 'GET' && !isChange,
  )
  assert.deepEqual(harmless.map(({ action }) => action).sort(), ['CreateDiagnosis', 'QueryAutoShutdownPolicies'])
})

test('what RAM allows unless it is denied is what the documentation says', () => {
  const open = Object.values(operations).filter(({ ram }) => ram.defaultAllow === true)
  const others = open.map(({ action }) => action).filter((action) => !action.includes('TempFile'))
  assert.deepEqual(others.sort(), ['GetCallerIdentity', 'GetUserConfig', 'ListEcsSpecs'])
})

test('RAM knows creating, changing and deleting an instance by how it is paid, too', () => {
  assert.deepEqual(OPERATIONS.UpdateInstance.ram, {
    action: 'paidsw:UpdateInstance',
    aliases: ['paidsw:UpdatePostPaidInstance', 'paidsw:UpdatePrePaidInstance'],
  })
})
