/**
 * `npm run bench -- [--scale 0.1] [--engine docker20|docker28|both] [--runs 3] [--commit-runs 1] [--cold-runs 1] [--peers]
 * [--large] [--json FILE] [--write FILE]`: measure what docs/design.md §9 promises, on the same container, in one run.
 * `--write` puts a section for each engine into a document.
 */
import { writeFileSync } from 'node:fs'
import type { EngineName } from '#lab/engine.ts'
import { writeSection } from './document.ts'
import { rowsOf } from './figures.ts'
import { thisMachine } from './machine.ts'
import { measure } from './measure.ts'
import { parseOptions, type BenchOptions } from './options.ts'
import { describeEngine, headingOf, type EngineReport } from './report.ts'
import { run, type OnStep } from './run.ts'
import { withSubject } from './subject.ts'

const args = process.argv.slice(2)
await run(async (onStep) => {
  const options = parseOptions(args)
  const reports: EngineReport[] = []
  for (const engine of options.engines) {
    const report = await measureEngine(engine, options, onStep)
    reports.push(report)
    const section = describeEngine(report, options)
    console.log(`\n${section}\n`)
    if (options.writePath !== undefined) writeSection(options.writePath, headingOf(engine), section)
  }
  if (options.jsonPath === undefined) return
  const engines = reports.map(({ samples, ...report }) => {
    const { values, memory, peers } = samples
    return { ...report, rows: rowsOf(samples, report.engine), samples: values, memory, peers }
  })
  writeFileSync(options.jsonPath, `${JSON.stringify({ scale: options.scale, engines }, null, 2)}\n`)
})

async function measureEngine(name: EngineName, options: BenchOptions, onStep: OnStep): Promise<EngineReport> {
  const machine = thisMachine('bench', args)
  onStep(`${name}: making the containers`)
  return await withSubject(name, options.scale, async (subject) => {
    const version = await subject.engine.docker(['version', '--format', '{{.Server.Version}}'])
    const samples = await measure(subject, options, (step) => onStep(`${name}: ${step}`))
    return { engine: name, version, tree: subject.tree, samples, machine }
  })
}
