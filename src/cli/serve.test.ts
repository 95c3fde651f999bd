import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runServe } from './serve.ts'
import type { Announcement } from './serve.ts'

async function run(args: readonly string[], announcement: Announcement) {
  let out = ''
  let configPath: string | undefined
  const terminal = { out: (text: string) => void (out += text), err: () => {}, isInteractive: false, columns: () => 80 }
  const code = await runServe(
    args,
    {
      terminal,
      async serve(options) {
        configPath = options.configPath
        options.announce(announcement)
      },
    },
    AbortSignal.timeout(1000),
  )
  return { code, out, configPath }
}

const AT = { url: 'http://127.0.0.1:8080', metricsUrl: 'http://127.0.0.1:9090/metrics' }

test('it says where the server is, and where the key is', async () => {
  const { code, out, configPath } = await run([], { ...AT, credentialsPath: '/srv/tintype/credentials.json' })
  assert.deepEqual([code, configPath], [0, undefined])
  assert.match(out, /^Tintype serves http:\/\/127\.0\.0\.1:8080\n/)
  assert.match(out, /access key +in \/srv\/tintype\/credentials\.json/)
  assert.match(out, /metrics +http:\/\/127\.0\.0\.1:9090\/metrics\n/)
})

test('a key of the configuration is never shown', async () => {
  assert.match((await run([], AT)).out, /access key +that of TINTYPE_ROOT_ACCESS_KEY_ID\n/)
})

test('--config FILE', async () => {
  assert.equal((await run(['--config', '/etc/tintype.yaml'], AT)).configPath, '/etc/tintype.yaml')
})

for (const args of [['now'], ['--port', '1'], ['--config']]) {
  test(`"serve ${args.join(' ')}" is a mistake`, async () => {
    await assert.rejects(run(args, AT), { code: 'usage_invalid' })
  })
}
