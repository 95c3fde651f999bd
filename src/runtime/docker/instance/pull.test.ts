import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorCode } from '#base/errors.ts'
import type { CallOptions, EngineApi } from '#runtime/docker/api.ts'
import type { PullProgress } from '#runtime/runtime.ts'
import { ensureImage } from './pull.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const IMAGE = {
  Id: 'sha256:of-the-config',
  RepoDigests: [`example.com/a@${DIGEST}`],
  Config: { Entrypoint: ['python3'], Cmd: ['-m', 'http.server'] },
}

interface Pull {
  readonly lines?: readonly object[]
  /** What the engine answers instead of a stream. */
  readonly refusal?: { readonly status: number; readonly words: string }
  readonly isThere?: boolean
}

/** An engine that has the image from the start, or once it has pulled it. */
function engineWith({ lines = [], refusal, isThere = false }: Pull) {
  const calls: { readonly path: string; readonly options: CallOptions }[] = []
  const api: EngineApi = {
    async call(method, path, options = {}) {
      calls.push({ path, options })
      if (method === 'GET') return isThere || calls.some(({ path: each }) => each === '/images/create') ? IMAGE : {}
      if (refusal) throw options.refuse?.(refusal.status, refusal.words) ?? new Error(refusal.words)
      return Readable.from(lines.map((line) => `${JSON.stringify(line)}\r\n`))
    },
  }
  return { api, calls }
}

test('an image that is there is not pulled', async () => {
  const { api, calls } = engineWith({ isThere: true })
  assert.deepEqual(await ensureImage(api, { imageUrl: 'python' }), { command: ['python3', '-m', 'http.server'] })
  assert.deepEqual(
    calls.map(({ path }) => path),
    ['/images/docker.io/library/python:latest/json'],
  )
})

for (const [what, now, isPulled] of [
  ['is what the tag stands for', DIGEST, false],
  ['is not what the tag stands for any more', `sha256:${'b'.repeat(64)}`, true],
] as const)
  test(`an image that is there and ${what} is ${isPulled ? '' : 'not '}pulled`, async () => {
    const { api, calls } = engineWith({ isThere: true })
    await ensureImage(api, { imageUrl: 'example.com/a:v1', imageDigest: now })
    assert.equal(calls.some(({ path }) => path === '/images/create'), isPulled) // prettier-ignore
    const exact = engineWith({ isThere: true })
    await ensureImage(exact.api, { imageUrl: `example.com/a@${DIGEST}`, imageDigest: now })
    assert.equal(exact.calls.length, 1, 'a digest is exact')
  })

const NAMES = [
  ['python', { fromImage: 'docker.io/library/python', tag: 'latest' }],
  ['localhost:5000/a/b:v1', { fromImage: 'localhost:5000/a/b', tag: 'v1' }],
  [`example.com/a@${DIGEST}`, { fromImage: 'example.com/a', tag: DIGEST }],
  [`example.com/a:v1@${DIGEST}`, { fromImage: 'example.com/a', tag: DIGEST }],
] as const
for (const [imageUrl, query] of NAMES)
  test(`pulled as one image, never all tags: ${imageUrl}`, async () => {
    const { api, calls } = engineWith({})
    await ensureImage(api, { imageUrl })
    assert.deepEqual(calls.find(({ path }) => path === '/images/create')?.options.query, query)
  })

test('the login goes with the pull, for its registry', async () => {
  const { api, calls } = engineWith({})
  await ensureImage(api, { imageUrl: 'example.com/a:v1', imageAuth: { username: 'ann', password: 'p:w' } })
  const logins = calls.map(({ options }) => options.login).filter((login) => login !== undefined)
  assert.deepEqual(logins, [{ username: 'ann', password: 'p:w', registry: 'example.com' }])
})

test('an engine that says nothing any more is not waited for without end, and one that goes on is', async () => {
  const engine = (lines: number): EngineApi => ({
    async call(method, _path, { signal } = {}) {
      if (method === 'GET') return {}
      return Readable.from(
        (async function* () {
          for (let i = 0; i < lines; i++) {
            yield '{"status":"Extracting"}\n'
            await sleep(20)
          }
          await sleep(60_000, undefined, { signal: signal! })
        })(),
      )
    },
  })
  const from = performance.now()
  await assert.rejects(ensureImage(engine(10), { imageUrl: 'example.com/a:v1', silenceMs: 120 }), {
    code: 'engine_unavailable',
    message: /^The engine has said nothing of the pull of example.com\/a:v1 for/,
  })
  assert.ok(performance.now() - from >= 300, 'as long as it says something it may go on')
})

test('progress is over all layers, and never goes back', async () => {
  const at = (id: string, current: number, total: number) => ({
    id,
    status: 'Downloading',
    progressDetail: { current, total },
  })
  const { api } = engineWith({
    lines: [
      { status: 'Pulling from library/python', id: 'latest' },
      { id: 'a', status: 'Pulling fs layer', progressDetail: {} },
      at('a', 10, 100),
      at('b', 5, 50),
      at('a', 60, 100),
      { id: 'a', status: 'Download complete', progressDetail: {} },
      { id: 'a', status: 'Extracting', progressDetail: { current: 1, total: 100 } },
      at('b', 49, 50),
      { id: 'b', status: 'Pull complete', progressDetail: {} },
    ],
  })
  const seen: PullProgress[] = []
  await ensureImage(api, { imageUrl: 'python', onProgress: (progress) => seen.push(progress) })
  assert.deepEqual(
    seen.map(({ bytes, bytesTotal }) => [bytes, bytesTotal]),
    [
      [10, 100],
      [15, 150],
      [65, 150],
      [105, 150],
      [149, 150],
      [150, 150],
    ],
  )
})

/** As Docker 20.10 and 28 say it, with the status or in the stream. */
const WORDS: readonly (readonly [ErrorCode, string])[] = [
  ['registry_denied', "pull access denied for x, repository does not exist or may require 'docker login': denied"],
  ['registry_denied', 'Head "https://r/v2/x/manifests/1": unauthorized: authentication required'],
  ['registry_denied', 'unexpected status from HEAD request to https://r/v2/x/manifests/1: 403 Forbidden'],
  ['registry_denied', 'Get "http://r/v2/x/manifests/1": no basic auth credentials'],
  ['image_not_found', 'manifest for r/x:1 not found: manifest unknown: manifest unknown'],
  ['image_not_found', 'failed to resolve reference "r/x:1": r/x:1: not found'],
  ['image_unsupported', 'no matching manifest for linux/arm64/v8 in the manifest list entries'],
  ['insufficient_resource', 'failed to register layer: write /f: no space left on device'],
  ['registry_unavailable', 'Get "https://r/v2/": dial tcp 127.0.0.1:1: connect: connection refused'],
  ['registry_unavailable', 'Get "https://r/v2/": net/http: TLS handshake timeout'],
  ['registry_unavailable', 'received unexpected HTTP status: 503 Service Unavailable'],
]
for (const [code, words] of WORDS)
  test(`${code}: ${words}`, async () => {
    const refused = engineWith({ refusal: { status: 500, words } })
    await assert.rejects(ensureImage(refused.api, { imageUrl: 'r/x:1' }), { code })
    const broken = engineWith({ lines: [{ status: 'Pulling' }, { error: words, errorDetail: { message: words } }] })
    await assert.rejects(ensureImage(broken.api, { imageUrl: 'r/x:1' }), { code, details: { image: 'r/x:1' } })
  })

test('an engine that does not answer is not taken for the registry', async () => {
  const { api } = engineWith({ refusal: { status: 0, words: 'socket hang up' } })
  await assert.rejects(ensureImage(api, { imageUrl: 'r/x:1' }), { message: 'socket hang up' })
})
