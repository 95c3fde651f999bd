/**
 * How long a freeze is, seen from inside the container: the longest gap in its clock while it is saved, with 20 MB/s written
 * meanwhile. Other work of the machine makes gaps, too, and longer ones: the shortest of five runs says what the freeze needs.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { startContainer } from '#lab/container.ts'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { debianImage } from '#lab/images.ts'
import { makeTree, REFERENCE_FILES } from '#lab/tree.ts'
import { snapshot } from '../support/command.ts'

const CLOCK = readFileSync(new URL('clock.py', import.meta.url), 'utf8')
const RUNS = 5
/** For comparison: the clock while nothing is saved. */
const IDLE_MS = 500
/** What a clock that is read every half millisecond, on a machine with other work, shows beside the freeze itself. */
const NOISE_MS = 20
const IS_LONG = process.env['TINTYPE_TEST_LONG'] === '1'
/** design.md §9, "freeze, by walk". */
const SIZES = [{ files: 10_000, atMostMs: 100 }, ...(IS_LONG ? [{ files: REFERENCE_FILES, atMostMs: 400 }] : [])]

for (const name of testedEngines())
  for (const { files, atMostMs } of SIZES) {
    const title = `${name}: of ${RUNS} freezes of ${files} files, the shortest is at most ${atMostMs} ms`
    test(title, { skip: whyNoEngine(name) }, async (t) => {
      await using engine = await labEngine(name)
      const directory = mkdtempSync(join(tmpdir(), 'tintype-clock-'))
      t.after(() => rmSync(directory, { recursive: true }))
      mkdirSync(join(directory, 'out'))
      await using container = await startContainer(engine, await debianImage(engine), {
        command: ['python3', '-c', CLOCK, '/out/gaps', '/churn'],
        args: ['--volume', `${directory}/out:/out`],
      })
      await makeTree(`/proc/${container.pid}/root/opt/tree`, { files })
      const gaps = () => readGaps(join(directory, 'out/gaps'))
      const options = { home: join(directory, 'home'), socketPath: engine.socketPath }
      const save = () => snapshot([container.id, `oci:${directory}/images:v`, '--overwrite'], options)
      await save() // the base image's layers are there from now on

      const seen: number[] = []
      const told: number[] = []
      for (let run = 0; run < RUNS; run++) {
        const idleNs = process.hrtime.bigint()
        await wait(IDLE_MS)
        const { startedNs, endedNs, frozenMs, barrierMs, passes } = await save()
        const idle = longest(gaps(), idleNs, startedNs)
        const insideMs = longest(gaps(), startedNs, endedNs)
        seen.push(insideMs)
        told.push(Math.max(frozenMs, barrierMs))
        t.diagnostic(
          [
            `inside ${insideMs.toFixed()} ms`,
            `told ${frozenMs.toFixed()} ms (barrier ${barrierMs.toFixed()} ms, ${passes} passes)`,
            `not frozen, but standing still for ${idle.toFixed()} ms`,
          ].join('; '),
        )
      }
      const [shortest = Infinity, , median] = seen.toSorted((a, b) => a - b)
      t.diagnostic(`shortest ${shortest.toFixed()} ms, median ${median?.toFixed()} ms`)
      assert.ok(shortest > 0, 'a freeze is seen from inside')
      assert.ok(shortest <= atMostMs, `${shortest} ms`)
      const toldMs = told[seen.indexOf(shortest)] ?? 0
      assert.ok(
        shortest <= toldMs + NOISE_MS,
        `what is told, ${toldMs} ms, is not less than what is felt, ${shortest} ms`,
      )
    })
  }

interface Gap {
  readonly startNs: bigint
  readonly endNs: bigint
}

function readGaps(path: string): readonly Gap[] {
  const lines = existsSync(path) ? readFileSync(path, 'latin1').trim().split('\n') : []
  return lines.filter(Boolean).map((line) => {
    const [startNs = 0n, endNs = 0n] = line.split(' ').map(BigInt)
    return { startNs, endNs }
  })
}

/** Of the gaps that overlap a time, in milliseconds. */
function longest(gaps: readonly Gap[], fromNs: bigint, untilNs: bigint): number {
  const inside = gaps.filter(({ startNs, endNs }) => startNs < untilNs && endNs > fromNs)
  return Math.max(0, ...inside.map(({ startNs, endNs }) => Number(endNs - startNs) / 1e6))
}
