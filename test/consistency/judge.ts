import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

const PAGE = 4096
/** As load.py has them. */
const PIECE = 2 << 20
const ROUND = 64

/** What the files of load.py in `directory` say against being one state: a sentence each, none when they are. */
export function problemsOf(directory: string): readonly string[] {
  const at = (name: string) => join(directory, name)
  return [
    ...pairProblems(at('a/first'), at('z/second')),
    ...logProblems(at('log')),
    ...blockProblems(at('blocks')),
    ...mappingProblems(at('mapping'), ROUND),
    ...mappingProblems(at('after-thaw'), 1),
    ...databaseProblems(at('wal.db'), at('wal.log')),
    ...databaseProblems(at('delete.db'), at('delete.log')),
  ]
}

function* pairProblems(first: string, second: string): Generator<string> {
  const [a, b] = [readFileSync(first, 'latin1'), readFileSync(second, 'latin1')]
  for (const text of [a, b]) if (!/^\d{15}\n$/.test(text)) yield `the pair has a torn file: ${JSON.stringify(text)}`
  const steps = Number(a) - Number(b)
  if (steps !== 0 && steps !== 1) yield `the pair is ${steps} steps apart`
}

function* logProblems(path: string): Generator<string> {
  const lines = readFileSync(path, 'latin1').split('\n')
  // No write(2) is half done in a frozen container, so not even the last line is torn.
  if (lines.pop() !== '') yield 'the log ends within a line'
  for (const [i, line] of lines.entries()) {
    const number = String(i + 1).padStart(10, '0')
    if (line === `${number} ${crc32(number).toString(16).padStart(8, '0')}`) continue
    yield `line ${i + 1} of the log is ${JSON.stringify(line)}`
    return
  }
}

/** A generation may have come as far as the end of one of its writes. */
function* blockProblems(path: string): Generator<string> {
  const bytes = readFileSync(path)
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  const newest = words[0] ?? 0
  const border = words.findIndex((word) => word !== newest)
  if (border === -1) return
  if ((border * 4) % PIECE !== 0) yield `a large write is torn at byte ${border * 4}`
  if (words.subarray(border).some((word) => word !== newest - 1))
    yield 'more than two generations of large writes are mixed'
}

function* mappingProblems(path: string, pages: number): Generator<string> {
  const [last = ''] = readFileSync(`${path}.log`, 'latin1').trimEnd().split('\n').slice(-1)
  const [, step, digits] = /^([AB]) (\d{10})$/.exec(last) ?? []
  if (step === undefined) return yield `the log of ${path} ends with ${JSON.stringify(last)}`
  const n = Number(digits)
  const bytes = readFileSync(path)
  for (let page = 0; page < pages; page++) {
    const done = step === 'A' ? n : n - 1
    const stored = Math.max(0, done - ((done - page) % pages))
    const isInWork = step === 'B' && n % pages === page
    for (const place of [0, PAGE / 2, PAGE - 8]) {
      const found = Number(bytes.readBigUInt64LE(page * PAGE + place))
      // Page 0 counts from store `pages` on; before, it is as it was made.
      if (found !== (stored % pages === page ? stored : 0) && !(isInWork && found === n))
        yield `page ${page} of ${path} is ${found} and should be ${stored}: "${last}"`
    }
  }
}

function* databaseProblems(path: string, logPath: string): Generator<string> {
  const ask = (sql: string) => {
    try {
      return execFileSync('sqlite3', [path, sql], { encoding: 'utf8', stdio: 'pipe' }).trim()
    } catch (error) {
      return String(error).trim()
    }
  }
  const logged = Number(readFileSync(logPath, 'latin1').trimEnd().split('\n').at(-1))
  const checked = ask('PRAGMA integrity_check')
  if (checked !== 'ok') return yield `${path}: integrity_check says ${checked}`
  const [sum, count, newest] = ask('SELECT (SELECT sum(balance) FROM account), count(*), max(n) FROM history').split(
    '|',
  )
  if (sum !== '100000') yield `${path}: the balances are ${sum}`
  if (count !== newest) yield `${path}: ${count} transactions, numbered to ${newest}`
  if (Number(newest) !== logged && Number(newest) !== logged + 1)
    yield `${path}: transaction ${newest} is the last, and the log says ${logged}`
}
