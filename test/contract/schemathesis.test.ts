import assert from 'node:assert/strict'
import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { runProgram } from '#base/process.ts'
import { labEngine } from '#lab/engine.ts'
import { pythonPackages } from '#lab/python.ts'
import { startServer } from '#lab/server.ts'

const SCHEMATHESIS = ['schemathesis==4.32.5']
const isLong = process.env['TINTYPE_TEST_LONG'] === '1'
/** Per operation and phase. */
const EXAMPLES = isLong ? 200 : 2
const LIMIT_MS = isLong ? 1_800_000 : 550_000
const PHASES = isLong ? 'examples,coverage,fuzzing,stateful' : 'examples,fuzzing'
/** Most of what it makes up is refused; so many changes at least are made. */
const CHANGES = 5
const CHECKS = 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance'

test('schemathesis finds no 5xx, and no answer that the OpenAPI document does not have', async () => {
  const PYTHONPATH = await pythonPackages(SCHEMATHESIS)
  await using engine = await labEngine('docker20')
  await using server = await startServer({ engine, env: { TINTYPE_RATE_LIMIT: '0' } })
  using directory = mkdtempDisposableSync(`${tmpdir()}/tintype-schemathesis-`)
  const { id: ACCESS_KEY_ID, secret: ACCESS_KEY_SECRET } = server.rootKey
  const hook = { SCHEMATHESIS_HOOKS: 'signing_hook', PYTHONPATH: `${PYTHONPATH}:${process.cwd()}/test/contract` }
  const found = await runProgram(
    'python3',
    [
      ...['-m', 'schemathesis.cli', 'run', `${server.url}/openapi.json`, '--checks', CHECKS, '--phases', PHASES],
      ...['--max-examples', String(EXAMPLES), '--seed', '1', '--no-shrink', '--continue-on-failure', '--no-color'],
      ...['--suppress-health-check', 'all', '--warnings', 'off'],
    ],
    {
      env: { PATH: process.env['PATH'], PYTHONDONTWRITEBYTECODE: '1', ...hook, ACCESS_KEY_ID, ACCESS_KEY_SECRET },
      cwd: directory.path,
      timeoutMs: LIMIT_MS,
    },
  )
  assert.equal(found.exitCode, 0, `${found.stdout}${found.stderr}\n${server.log().slice(-3000)}`)
  const linesWith = (text: string) => server.log().split(text).length - 1
  assert.equal(linesWith('"code":"signature_mismatch"'), 0, 'a request was not signed well')
  const changes = linesWith('"msg":"changed"')
  assert.ok(changes >= CHANGES, `only ${changes} of its requests changed anything`)
})
