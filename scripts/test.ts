/**
 * `npm test`: everything; `npm run test:unit`: what needs no engine; `npm run test:long`: on every engine, the full
 * counts. `npm test -- FILE…`: those files alone.
 */
import { globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { AppError } from '#base/errors.ts'
import { startEngine, testedEngines, type Engine, type SharedEngines } from '#lab/engine.ts'
import { ensurePackages } from '#lab/packages.ts'
import { buildIfStale } from './bundle.ts'
import { printFailure, runFiles, type Outcome } from './run-tests.ts'

/** What tests call that a lab function does not install by itself: the compressor, and the judges. */
const UNIT_PACKAGES = ['libisal2', 'zstd', 'tar', 'gzip', 'attr', 'libcap2-bin']
const PACKAGES = [
  ...UNIT_PACKAGES,
  'skopeo',
  'umoci',
  'docker.io',
  'docker-registry',
  'sqlite3',
  'openssl',
  'postgresql',
]
/** These measure time, or need pages that nobody writes back, as sync(2) does on all disks: nothing may run beside them. */
const ALONE = /^test\/(?:freeze\/|speed\/|consistency\/silent-changes)/
/** Engines wait much for disks and processes; more than two files at once only wait for each other. */
const ENGINE_FILES_AT_ONCE = 2

const args = process.argv.slice(2)
const isUnit = args.includes('--unit')
const isLong = args.includes('--long')
const named = args.filter((arg) => !arg.startsWith('-'))
const started = performance.now()

const stopped = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())

process.exitCode = await main()

async function main(): Promise<number> {
  const unknown = args.filter((arg) => arg.startsWith('-') && arg !== '--unit' && arg !== '--long')
  const missing = named.filter((file) => globSync(file).length === 0)
  if (unknown.length + missing.length > 0) {
    console.error(`Not an option or a file: ${[...unknown, ...missing].join(', ')}.`)
    return 2
  }
  await ensurePackages(isUnit ? UNIT_PACKAGES : PACKAGES)
  await buildIfStale()
  const files = named.length > 0 ? named.map((file) => file.replace(/^\.\//, '')) : filesOf()
  if (isLong) process.env['TINTYPE_TEST_LONG'] = '1'
  const signal = stopped.signal
  const isOfUnit = (file: string) => file.startsWith('src/') || file === 'test/architecture.test.ts'
  const outcomes: Outcome[] = []
  const unit = files.filter(isOfUnit)
  if (unit.length > 0) outcomes.push(await runFiles(unit, { concurrency: availableParallelism(), signal }))
  const rest = files.filter((file) => !isOfUnit(file))
  if (rest.length > 0 && !signal.aborted) outcomes.push(...(await withEngines(() => runRest(rest))))
  return report(outcomes)
}

function filesOf(): readonly string[] {
  const all = [...globSync('src/**/*.test.ts'), ...globSync('test/**/*.test.ts')].toSorted()
  return isUnit ? all.filter((file) => file.startsWith('src/') || file === 'test/architecture.test.ts') : all
}

async function runRest(files: readonly string[]): Promise<readonly Outcome[]> {
  const { signal } = stopped
  const together = files.filter((file) => !ALONE.test(file))
  const alone = files.filter((file) => ALONE.test(file))
  const outcomes: Outcome[] = []
  if (together.length > 0) outcomes.push(await runFiles(together, { concurrency: ENGINE_FILES_AT_ONCE, signal }))
  if (alone.length > 0 && !signal.aborted) outcomes.push(await runFiles(alone, { concurrency: 1, signal }))
  return outcomes
}

/** Start the engines that all test files share, run, and remove them, whatever happens. */
async function withEngines(work: () => Promise<readonly Outcome[]>): Promise<readonly Outcome[]> {
  const engines: Engine[] = []
  const missing: Record<string, string> = {}
  const directory = mkdtempSync(`${tmpdir()}/tintype-test-`)
  try {
    for (const name of testedEngines())
      if (!stopped.signal.aborted)
        try {
          engines.push(await startEngine(name))
        } catch (error) {
          missing[name] = error instanceof AppError ? error.message : String(error)
        }
    const shared: SharedEngines = {
      engines: engines.map(({ name, socketPath, root, directory }) => ({ name, socketPath, root, directory })),
      missing,
    }
    process.env['TINTYPE_LAB'] = `${directory}/engines.json`
    writeFileSync(process.env['TINTYPE_LAB'], JSON.stringify(shared))
    console.log(`engines: ${engines.map(({ name }) => name).join(', ') || 'none'}`)
    const skipped = Object.entries(missing).map(([name, reason]) => ({ name: `engine ${name}`, reason }))
    return [...(await work()), { passed: 0, failures: [], skipped }]
  } finally {
    await Promise.all(engines.map((engine) => engine.stop()))
    rmSync(directory, { recursive: true })
  }
}

function report(outcomes: readonly Outcome[]): number {
  const failures = outcomes.flatMap((outcome) => outcome.failures)
  const skipped = outcomes.flatMap((outcome) => outcome.skipped)
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0)
  for (const failure of failures) printFailure(failure)
  if (skipped.length > 0) {
    console.log(`\nCould not run (${skipped.length}):`)
    for (const { name, reason } of skipped) console.log(`  - ${name}: ${reason}`)
  }
  const seconds = Math.round((performance.now() - started) / 1000)
  console.log(`\nTook ${Math.floor(seconds / 60)} min ${seconds % 60} s.`)
  console.log(`${passed} passed, ${failures.length} failed, ${skipped.length} skipped`)
  if (stopped.signal.aborted) return 130
  const isCi = process.env['CI'] === 'true'
  if (isCi && skipped.length > 0) console.log('On CI everything must run: this counts as a failure.')
  return failures.length > 0 || passed === 0 || (isCi && skipped.length > 0) ? 1 : 0
}
