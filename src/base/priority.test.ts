import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

const SCRIPT = `
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { goEvenly, goFirst } from '${new URL('priority.ts', import.meta.url).href}'
const session = () => existsSync('/proc/self/autogroup') ? readFileSync('/proc/self/autogroup', 'utf8').replace(/.*nice /s, '').trim() : ''
const before = session()
goFirst()
const child = spawn('sleep', ['60'])
const inherited = getPriority(child.pid)
goEvenly(child.pid)
console.log(JSON.stringify({ own: getPriority(), inherited, child: getPriority(child.pid), before, after: session() }))
child.kill()
goEvenly(2 ** 22 + 1)`

async function run({ detached }: { readonly detached: boolean }) {
  const args = ['--input-type=module', '--disable-warning=ExperimentalWarning', '--eval', SCRIPT]
  const child = spawn(process.execPath, args, { detached, stdio: ['ignore', 'pipe', 'inherit'] })
  return JSON.parse(await text(child.stdout)) as Record<'own' | 'inherited' | 'child' | 'before' | 'after', unknown>
}

/** Who may not go first stays as it is, without an error. */
const first = process.getuid?.() === 0 ? -10 : 0

test('a service and its session go first, its child does not', async () => {
  const { own, inherited, child, before, after } = await run({ detached: true })
  assert.deepEqual([own, inherited, child], [first, first, 0])
  assert.equal(after, before === '' ? '' : `${first}`)
})

test('a command in a terminal leaves the session as it is', async () => {
  const { own, before, after } = await run({ detached: false })
  assert.equal(own, first)
  assert.equal(after, before)
})
