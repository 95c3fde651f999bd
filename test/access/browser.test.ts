import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { build } from 'esbuild'
import { signAcs3 } from '#access/acs3.ts'

const REQUEST = { method: 'PUT', host: 'h:1', rawPath: '/a%2Fb', rawQuery: 'q=a+b', action: 'A', body: 'ä' }
const KEY = { id: 'k', secret: 's', securityToken: 't' }
const MOMENT = { nonce: 'n', date: new Date('2026-01-02T03:04:05Z') }

test('a page that has neither Node nor WebCrypto signs the same', async () => {
  const options = { bundle: true, write: false, platform: 'browser', format: 'iife', globalName: 'signing' } as const
  const { outputFiles } = await build({ entryPoints: ['src/access/sign.ts'], ...options })
  const call = ';signing.signAcs3(request, key, moment)'
  const page = { TextEncoder, request: REQUEST, key: KEY, moment: MOMENT }
  const headers: unknown = runInNewContext(outputFiles[0]!.text + call, page)
  assert.deepEqual({ ...(headers as object) }, signAcs3(REQUEST, KEY, MOMENT))
})
