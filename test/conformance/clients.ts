import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { goProgram } from '#lab/go.ts'
import { installFromNpm } from '#lab/npm.ts'
import { pythonPackages } from '#lab/python.ts'
import { queryTexts, startClientProgram, type ClientProgram, type Outcome, type SentCall } from './client.ts'

/** The product SDKs themselves are on PyPI only; elsewhere there are the cores, through which all of them call. */
export const CLIENTS = ['Python', 'Go', 'npm'] as const
export type ClientName = (typeof CLIENTS)[number]

const SDKS = [
  'alibabacloud_pai_dsw20220101==2.4.0',
  'alibabacloud_aiworkspace20210204==8.3.5',
  'alibabacloud_ram20150501==1.3.0',
  'alibabacloud_sts20150401==1.2.0',
]
const NPM_CORE = '@alicloud/openapi-core'
const PATIENCE_MS = 30_000 // its default of 3 seconds is short for a test machine under load

/** An official client, as it comes from its registry. */
export async function openClient(name: ClientName): Promise<ClientProgram> {
  const env = { PATH: process.env['PATH'] }
  if (name === 'npm') return await openNpmCore()
  if (name === 'Go') {
    const program = startClientProgram(await goProgram('test/conformance/go'), [], env)
    return { ...program, send: (call) => program.send({ ...call, query: queryTexts(call.query) }) }
  }
  const PYTHONPATH = await pythonPackages(SDKS)
  const more = { PYTHONPATH, PYTHONDONTWRITEBYTECODE: '1' }
  return startClientProgram('python3', ['test/conformance/sdk_client.py'], { ...env, ...more })
}

async function openNpmCore(): Promise<ClientProgram> {
  const directory = mkdtempSync(`${tmpdir()}/tintype-core-`)
  const load = createRequire(`${await installFromNpm(directory, `${NPM_CORE}@1.0.8`)}/`)
  const core = load(NPM_CORE)
  const { RuntimeOptions } = load('@darabonba/typescript')
  const send = async (call: SentCall): Promise<Outcome> => {
    const { action, version, style, method, pathname, query, body, headers, key, host } = call
    const client = new core.default(
      new core.$OpenApiUtil.Config({
        accessKeyId: key.id,
        accessKeySecret: key.secret,
        securityToken: key.token,
        endpoint: host,
        protocol: 'HTTP',
        regionId: 'local',
        readTimeout: PATIENCE_MS,
      }),
    )
    const shape = { action, version, style, method, pathname, protocol: 'HTTP', authType: 'AK' }
    const params = new core.$OpenApiUtil.Params({ ...shape, reqBodyType: 'json', bodyType: 'json' })
    const request = new core.$OpenApiUtil.OpenApiRequest({ query: queryTexts(query), body, headers })
    try {
      return { body: (await client.callApi(params, request, new RuntimeOptions({}))).body }
    } catch (error) {
      return { error: explain(error as NpmError) }
    }
  }
  return { send, [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }) }
}

interface NpmError extends Error {
  readonly code?: string
  readonly statusCode?: number
  readonly accessDeniedDetail?: Record<string, string>
  readonly retryAfter?: number
}

const explain = ({ name, code, statusCode, message, accessDeniedDetail, retryAfter }: NpmError) => ({
  kind: name,
  code: code ?? null,
  status: statusCode ?? null,
  message,
  denied: accessDeniedDetail ?? null,
  retryAfter: retryAfter ?? null,
})
