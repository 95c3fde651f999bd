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

/** Run test files with node's test runner: a line for each file now, its failures for the end. */
export async function runFiles(files: readonly string[], options: RunFilesOptions): Promise<Outcome> {
  const failures: { name: string; text: string }[] = []
  const skipped: { name: string; reason: string }[] = []
  const printed = new Map<string, string>()
  const around: string[] = [] // the names of the tests around the current one
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
      if (type === 'test:fail' && data.name === file) console.log(`✖ ${file} did not run to its end`)
    } else if (type === 'test:summary' && data.file !== undefined) {
      const mark = data.success ? '✔' : '✖'
      console.log(`${mark} ${shortName(data.file)} (${data.counts.tests}, ${(data.duration_ms / 1000).toFixed(1)} s)`)
    }
  }
  const failed = new Set(failures.map(({ name }) => name.slice(0, name.indexOf(': '))))
  for (const [file, text] of printed) if (failed.has(file)) printTail(file, text)
  return { passed, failures, skipped }
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
