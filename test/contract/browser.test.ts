import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { build } from 'esbuild'
import { openApiDocument } from '#contract/openapi.ts'

const ROOMS = `
  export { OPERATIONS } from '#contract/operations.ts'
  export { validateBody } from '#contract/validate.ts'
  export { successEnvelope } from '#contract/envelope.ts'
  export { openApiDocument } from '#contract/openapi.ts'
`
const OPTIONS = { serverUrl: 'http://127.0.0.1:8080', version: '0.1.0' }

/** What `expression` gives in a page that has no Node and whose policy forbids to make code of strings. */
async function inPage(expression: string): Promise<unknown> {
  const options = { bundle: true, write: false, platform: 'browser', format: 'iife', globalName: 'contract' } as const
  const { outputFiles } = await build({ stdin: { contents: ROOMS, resolveDir: process.cwd() }, ...options })
  const page = { TextEncoder, atob, options: OPTIONS }
  const code = `${outputFiles[0]!.text};JSON.stringify(${expression})`
  return JSON.parse(String(runInNewContext(code, page, { contextCodeGeneration: { strings: false } })))
}

test('a page without Node, and without eval, has the operations and validates', async () => {
  const action = 'contract.OPERATIONS.CreateInstanceSnapshot'
  const taken = await inPage(`contract.validateBody(${action}, { SnapshotName: 'a', ImageUrl: 'b', New: 1 })`)
  assert.deepEqual(taken, { SnapshotName: 'a', ImageUrl: 'b' })
  const refused = await inPage(
    `(() => { try { contract.validateBody(${action}, { SnapshotName: 'A' }) } catch (error) { return error.message } })()`,
  )
  assert.equal(refused, 'ImageUrl is missing; it is required.')
})

test('a page makes the same OpenAPI document', async () => {
  assert.deepEqual(await inPage('contract.openApiDocument(options)'), openApiDocument(OPTIONS))
})
