import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '#base/clock.ts'
import { readConfig } from '#config/config.ts'
import { OPERATIONS } from '#contract/operations.ts'
import { routesOf } from '#http/routes.ts'
import { openService } from '#service/service.ts'
import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'

test('every operation of the contract has one route, and nothing else has', async () => {
  using home = mkdtempDisposableSync(`${tmpdir()}/tintype-routes-`)
  const config = await readConfig({ TINTYPE_HOME: home.path, DOCKER_HOST: `unix://${home.path}/no-engine.sock` })
  await using service = await openService({ config, clock: systemClock, log: () => {} })
  const actions = routesOf(service, config).map(({ action }) => action)
  assert.deepEqual([...actions].sort(), Object.keys(OPERATIONS).sort())
})

test('a runtime that is not there is a mistake of the configuration', async () => {
  const config = await readConfig({ TINTYPE_RUNTIME: 'kubernetes' })
  const opened = openService({ config, clock: systemClock, log: () => {} })
  await assert.rejects(opened, { code: 'config_invalid', message: /^TINTYPE_RUNTIME/ })
})
