/** `npm run check`: types, lint, format, architecture. Every step runs, so that one run tells everything. */
import { spawnSync } from 'node:child_process'

const STEPS: readonly (readonly [string, readonly string[]])[] = [
  ['tsc', ['-p', '.']],
  ['eslint', ['.', '--max-warnings=0']],
  ['prettier', ['--check', '--log-level=warn', '.']],
  ['node', ['--test', '--test-reporter=dot', 'test/architecture.test.ts']],
]

const failed = STEPS.filter(([program, args]) => {
  console.log(`> ${program} ${args.join(' ')}`)
  return spawnSync(program, args, { stdio: 'inherit' }).status !== 0
})
if (failed.length > 0) {
  console.error(`check failed: ${failed.map(([program]) => program).join(', ')}`)
  process.exit(1)
}
