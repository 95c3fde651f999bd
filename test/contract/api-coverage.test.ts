import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runProgram } from '#base/process.ts'
import { answerCoverage, coverageOf, requestCoverage } from '#contract/coverage.ts'
import { OPERATION_COVERAGE } from '#contract/coverage-table.ts'
import { OPERATIONS } from '#contract/operations.ts'
import type { Operation } from '#contract/operation.ts'

const operations: readonly Operation[] = Object.values(OPERATIONS)

test('docs/api-coverage.md is what the contract says', async () => {
  const { exitCode, stderr } = await runProgram(process.execPath, ['scripts/api-coverage.ts', '--check'])
  assert.equal(exitCode, 0, stderr)
})

test('whatever the table names is a field that is there', () => {
  for (const operation of operations) {
    const { request = {}, absent = {} } = coverageOf(operation)
    const used = (fields: readonly { readonly entry?: { readonly name: string } }[]) =>
      new Set(fields.flatMap(({ entry }) => (entry ? [entry.name] : [])))
    assert.deepEqual([...used(requestCoverage(operation))].sort(), Object.keys(request).sort(), operation.action)
    assert.deepEqual([...used(answerCoverage(operation))].sort(), Object.keys(absent).sort(), operation.action)
  }
  for (const action of Object.keys(OPERATION_COVERAGE)) assert.ok(action in OPERATIONS, action)
})

test('every remark gives a reason, as a part of a sentence', () => {
  for (const { remark, request = {}, absent = {} } of Object.values(OPERATION_COVERAGE)) {
    const remarks = [...(remark ? [remark] : []), ...Object.values(request)]
    for (const reason of [...remarks.map((given) => given.reason), ...Object.values(absent)])
      assert.match(reason, /^.{8,}[^.]$/)
  }
})

test('the snapshot operations work whole: every field of theirs', () => {
  for (const operation of operations.filter(({ action }) => action.includes('InstanceSnapshot'))) {
    assert.equal(coverageOf(operation).remark, undefined)
    for (const { entry } of requestCoverage(operation)) assert.equal(entry?.says.coverage ?? 'works', 'works')
    for (const { entry } of answerCoverage(operation)) assert.equal(entry, undefined)
  }
})

test('a field inside of another shares its remark, and what stands beside it does not', () => {
  const fields = new Map(requestCoverage(OPERATIONS.CreateInstance).map(({ path, entry }) => [path, entry]))
  assert.equal(fields.get('UserVpc.ForwardInfos[].AccessType[]')?.name, 'UserVpc')
  assert.equal(fields.get('Datasets[].DatasetId')?.says.coverage, 'refused')
  assert.equal(fields.get('Datasets[].MountPath'), undefined)
})
