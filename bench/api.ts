/**
 * `npm run bench:api -- [--seconds 10] [--instances 100000] [--snapshots 1000000] [--json FILE] [--write FILE]`: how the
 * server stands signed requests, with a full store and while it saves. `--write` puts the table into a document, under a
 * heading of its own.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import { buildIfStale } from '../scripts/bundle.ts'
import { measureCaptures } from './api-captures.ts'
import { API_HEADING, appendSection, cutSection, isReached, tableOf, type ApiFigure } from './api-figures.ts'
import { measureStores } from './api-measure.ts'
import { parseApiOptions, type ApiOptions } from './api-options.ts'
import { thisMachine } from './machine.ts'

const started = performance.now()
const args = process.argv.slice(2)
try {
  await main(parseApiOptions(args))
} catch (error) {
  if (!(error instanceof AppError)) throw error
  console.error(`bench: ${error.message}`)
  process.exitCode = error.code === 'usage_invalid' ? 2 : 1
}

async function main(options: ApiOptions): Promise<void> {
  await buildIfStale()
  const captures = await measureCaptures(say)
  const figures = [...(await measureStores(options, say)), captures]
  const section = describe(figures, options, captures.capturesMs)
  console.log(section)
  const { jsonPath, writePath } = options
  if (jsonPath !== undefined) {
    const machine = thisMachine('bench:api', args)
    writeFileSync(jsonPath, `${JSON.stringify({ machine, options, figures }, null, 2)}\n`)
  }
  if (writePath === undefined) return
  const document = existsSync(writePath) ? readFileSync(writePath, 'utf8') : '# Benchmarks\n'
  const [rest] = cutSection(document, API_HEADING)
  writeFileSync(writePath, appendSection(rest, section))
}

function describe(figures: readonly ApiFigure[], options: ApiOptions, capturesMs: number): string {
  const { command, date, cores, kernel, node } = thisMachine('bench:api', args)
  const missed = figures.filter((figure) => isReached(figure) === false).length
  const many = (count: number) => count.toLocaleString('en')
  const full = `${many(options.instances)} instances and ${many(options.snapshots)} snapshots in the store`
  const busiest = Math.max(...figures.map(({ result }) => result.toolBusy))
  return [
    API_HEADING,
    `Made by \`${command}\` on ${date}: ${cores} cores, Linux ${kernel}, Node ${node}. Every request is signed with a nonce of its own and sent by autocannon; rate limits are off. The server runs on one core, the load tool on another (busy for at most ${Math.round(busiest * 100)} % of the time), PostgreSQL on both; server and tool go before other work of the machine. ${full}; lists have 10 entries unless something else is said. GetInstanceSnapshot is asked over 20 connections as fast as answers come, lists 20 times in a second over 4.`,
    missed === 0 ? 'All figures are reached.' : `${missed} of ${figures.length} figures are missed.`,
    tableOf(figures),
    `In the last line ten instances with 60 MB each are saved at once, server, captures, engine and registry on the same ${cores} cores: all were saved after ${(capturesMs / 1000).toFixed(1)} s.`,
  ].join('\n\n')
}

function say(text: string): void {
  console.error(`[${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s] ${text}`)
}
