import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { throwIfAborted } from '#base/abort.ts'
import type { EngineApi } from '#runtime/docker/api.ts'
import { createInstance } from './create.ts'

test('a creation that is given up on its way is waited for: no container comes after its instance was removed', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tintype-create-'))
  const cancel = new AbortController()
  let isMade = false
  const api: EngineApi = {
    async call(method, path, { signal } = {}) {
      if (path.startsWith('/images/')) return { Id: 'sha256:1', Config: { Cmd: ['sleep'] }, RepoDigests: [] }
      if (method === 'GET') return []
      assert.equal(path, '/containers/create')
      cancel.abort()
      throwIfAborted(signal) // as the real one: it does not wait any more
      isMade = true
      return { Id: 'c1' }
    },
  }
  const spec = {
    instanceId: 'dsw-1',
    imageUrl: 'r.example.com/a:1',
    environment: {},
    binds: [],
    workspaceVolume: 'v',
    labels: {},
    accessToken: 't',
    basePath: '/',
  }
  await assert.rejects(createInstance(api, spec, { home, signal: cancel.signal }), { code: 'cancelled' })
  assert.equal(isMade, true)
  rmSync(home, { recursive: true })
})
