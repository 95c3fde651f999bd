import { isAbsolute, relative } from 'node:path'
import { run } from 'node:test'
import { inspect } from 'node:util'

/** What a set of test files gave. */
export interface Outcome {
  readonly passed: number
  readonly failures: readonly { readonly name: string; readonly text: string }[]
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
}

export interface RunFilesOptions {
  /** Files at once, a process each. */
  readonly concurrency: number
  readonly signal: AbortSignal
}

/** A file that hangs must not hang the run; no file of the long suite takes as long. */
const FILE_TIMEOUT_MS = process.argv.includes('--long') ? 3_600_000 : 600_000
/** Of what a file printed, when it failed. */
const OUTPUT_LINES = 30

/**
 * Run test files with node's test runner: failures and a line for each file as they come, all failures again in the
 * outcome. What passed and failed is told in the order of the files, so that one slow file holds back all later ones;
 * `test:complete` comes at once, but does not know the tests around it.
 */
export async function runFiles(files: readonly string[], options: RunFilesOptions): Promise<Outcome> {
  const failures: { name: string; text: string }[] = []
  const skipped: { name: string; reason: string }[] = []
  const printed = new Map<string, string>()
  const around: string[] = [] // the names of the tests around the current one
  const counts = new Map<string, number>() // of the tests that each file has ended
  let passed = 0
  for await (const { type, data } of run({ files: [...files], timeout: FILE_TIMEOUT_MS, ...options })) {
    if (type === 'test:start') around.splice(data.nesting, Infinity, data.name)
    else if (type === 'test:stdout' || type === 'test:stderr') {
      const file = shortName(data.file)
      printed.set(file, (printed.get(file) ?? '') + data.message)
    } else if (type === 'test:pass' || type === 'test:fail') {
      const file = shortName(data.file)
      const name = `${file}: ${[...around.slice(0, data.nesting), data.name].join(' > ')}`
      const reason = data.skip ?? data.todo
      if (reason !== undefined) skipped.push({ name, reason: reason === true ? 'no reason given' : String(reason) })
      else if (type === 'test:fail') failures.push(...failureOf(name, data.details.error))
      else if (data.details.type !== 'suite') passed++
    } else if (type === 'test:complete') {
      const file = shortName(data.file)
      const { error, passed: isPassed, duration_ms: ms } = data.details
      const count = counts.get(file) ?? 0
      counts.set(file, count + 1)
      if (shortName(data.name) === file)
        console.log(`${isPassed ? '✔' : '✖'} ${file} (${count}, ${(ms / 1000).toFixed(1)} s)`)
      else if (error && data.todo === undefined)
        for (const failure of failureOf(`${file}: ${data.name}`, error)) printFailure(failure)
    }
  }
  const failed = new Set(failures.map(({ name }) => name.slice(0, name.indexOf(': '))))
  for (const [file, text] of printed) if (failed.has(file)) printTail(file, text)
  return { passed, failures, skipped }
}

/** A failure with its text, for a reader of the run's output. */
export function printFailure({ name, text }: { readonly name: string; readonly text: string }): void {
  console.log(`\n✖ ${name}\n${text.replace(/^/gm, '  ')}`)
}

function shortName(file: string | undefined): string {
  return file === undefined ? '?' : isAbsolute(file) ? relative(process.cwd(), file) : file
}

/** What a failed test has to say; nothing for one that failed because a test inside it did. */
function failureOf(name: string, error: Error): readonly { name: string; text: string }[] {
  if ('failureType' in error && error.failureType === 'subtestsFailed') return []
  const cause = error.cause instanceof Error ? error.cause : error
  // The message of an assertion shows the difference: its fields would only say it again.
  const text = cause.name === 'AssertionError' ? cause.stack : undefined
  return [{ name, text: text ?? inspect(cause, { depth: 4, colors: process.stdout.isTTY, maxStringLength: 4000 }) }]
}

function printTail(file: string, text: string): void {
  console.log(`\n${file} printed:`)
  for (const line of text.trimEnd().split('\n').slice(-OUTPUT_LINES)) console.log(`  ${line}`)
}
