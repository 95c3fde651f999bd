import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { text } from 'node:stream/consumers'

/** `tintype serve` as a process of its own; without an engine unless DOCKER_HOST names one. Resolves when it serves. */
export async function startServer(home: string, env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, ['src/main.ts', 'serve'], {
    env: {
      PATH: process.env['PATH'],
      TINTYPE_HOME: home,
      TINTYPE_LISTEN: '127.0.0.1:0',
      TINTYPE_METRICS_LISTEN: '127.0.0.1:0',
      DOCKER_HOST: `unix://${home}/no-engine.sock`,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = text(child.stderr)
  const exited = once(child, 'exit')
  let out = ''
  for await (const part of child.stdout.setEncoding('utf8')) {
    out += part
    if (out.includes('Ctrl-C')) break
  }
  return {
    out,
    url: /serves (\S+)/.exec(out)?.[1] ?? '',
    metricsUrl: /metrics +(\S+)/.exec(out)?.[1] ?? '',
    /** The exit code, and everything that was logged. */
    async stop(signal: NodeJS.Signals = 'SIGTERM') {
      child.kill(signal)
      const [code] = await exited
      return { code, log: await log }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL') // of a test that failed
      await exited
    },
  }
}

/** A TINTYPE_HOME that goes with its test. */
export function temporaryHome() {
  const path = mkdtempSync(`${tmpdir()}/tintype-serve-`)
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** The key that the first start has made. */
export function keyIn(home: string): { id: string; secret: string } {
  const { accessKeyId, accessKeySecret } = JSON.parse(readFileSync(`${home}/credentials.json`, 'utf8'))
  return { id: String(accessKeyId), secret: String(accessKeySecret) }
}
