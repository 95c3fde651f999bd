import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { enterJail, sealModules } from '#snapshot/reader/jail.ts'

/**
 * A process of its own: `attempt DIRECTORY [sealed]` shuts itself in as the reader does and then tries to run code of the
 * jail in every way that there is. Prints which of them ran.
 */
const [, , directory = '', seal] = process.argv
const require = createRequire(import.meta.url)
const report: string[] = []

function started(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit code ${code}`))))
    worker.once('error', reject)
  })
}

const ATTEMPTS: readonly (readonly [name: string, attempt: () => unknown])[] = [
  ['import', () => import(String('/planted.mjs'))],
  ['import of a package', () => import(String('/node_modules/planted/index.js'))],
  ['import of a builtin', () => import(String('node:http2'))],
  ['require', () => require('/planted.cjs')],
  ['require of JSON', () => require('/planted.json')],
  ['a worker', () => started(new Worker('/planted.mjs'))],
  ['a worker from text', () => started(new Worker('1', { eval: true }))],
  ['a worker by another name', () => started(new (process.getBuiltinModule('worker_threads').Worker)('/planted.mjs'))],
]

enterJail(directory)
if (seal === 'sealed') sealModules()
for (const [name, attempt] of ATTEMPTS) {
  try {
    await attempt()
    report.push(name)
  } catch {
    // refused
  }
}
process.stdout.write(JSON.stringify(report))
