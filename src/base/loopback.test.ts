import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLoopbackHost } from './loopback.ts'

test('loopback is known by its form', () => {
  for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.1.2.3', '[::1]'])
    assert.ok(isLoopbackHost(host), host)
  for (const host of ['localhost.evil.net', '128.0.0.1', '127.0.0.1.nip.io', 'registry'])
    assert.ok(!isLoopbackHost(host), host)
})
