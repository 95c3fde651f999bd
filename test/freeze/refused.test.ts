/** Freezes that cannot be had, are not wanted, or are disturbed: what the command answers, and that the container goes on. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { runTintype, snapshot, startTintype, type CommandResult } from '../support/command.ts'
import { startSubject, type Subject } from './subject.ts'

/** Overwrites 16 MB in place, without a pause. */
const CHURN = 'head -c 16000000 /dev/urandom > /churn; while :; do dd if=/churn of=/churn bs=100000 conv=notrunc; done'

for (const name of testedEngines())
  test(`${name}: freezes that are refused, given up or done without`, { skip: whyNoEngine(name) }, async (t) => {
    await using engine = await labEngine(name)
    await using subject = await startSubject(engine)
    const { container, options, directory } = subject
    const target = (tag: string) => [container.id, `oci:${directory}/images:${tag}`]
    const run = (...args: string[]) => runTintype(['snapshot', ...args, '--json'], options)

    await t.test('a container that someone else has paused is refused, and stays paused', async () => {
      await container.pause()
      const { code, out } = await run(...target('paused'))
      assert.deepEqual([code, errorOf(out)], [5, 'container_paused'])
      assert.equal(await subject.status(), 'paused')
      await container.unpause()
      await subject.assertRuns()
    })

    await t.test('a second capture of the container is refused, and the first one succeeds', async () => {
      const first = startTintype(['snapshot', ...target('first'), '--json'], options)
      await captureHasBegun(subject)
      first.signal('SIGSTOP') // so that it is not over before the second asks
      const { code, out } = await run(...target('second'))
      first.signal('SIGCONT')
      assert.deepEqual([code, errorOf(out)], [4, 'capture_in_progress'])
      const { code: firstCode, err } = await first.ended
      assert.equal(firstCode, 0, err)
      subject.assertTidy()
    })

    await t.test('with --single-pass all is read in one freeze', async () => {
      const { passes, frozenMs, barrierMs, torn } = await snapshot([...target('single'), '--single-pass'], options)
      assert.deepEqual([passes, barrierMs, torn], [1, 0, []])
      assert.ok(frozenMs > 0)
      await subject.assertRuns()
    })

    await t.test('a container that changes', async (changing) => {
      await engine.docker(['exec', '--detach', container.id, 'sh', '-c', CHURN])

      await changing.test('a freeze that needs more than its budget is given up', async () => {
        const { code, out } = await run(...target('budget'), '--max-freeze-ms', '1')
        assert.deepEqual([code, errorOf(out)], [5, 'freeze_budget_exceeded'])
        await subject.assertRuns()
        subject.assertTidy()
      })

      await changing.test('without a freeze, what was torn is named', async () => {
        const { code, out, err } = await run(...target('live'), '--no-freeze')
        assert.ok(code === 0 || code === 7, err)
        const { torn, frozenMs, barrierMs, freezeMethod } = JSON.parse(out)
        assert.equal(torn.includes('/churn'), code === 7, `torn: ${torn}`)
        assert.equal(torn.length > 0, code === 7)
        assert.deepEqual([frozenMs, barrierMs, freezeMethod], [0, 0, 'none'])
      })
    })

    await t.test('a container that is removed meanwhile is a clear error', async () => {
      await using victim = await startSubject(engine)
      const running = startTintype(
        ['snapshot', victim.container.id, `oci:${victim.directory}/images:v1`, '--json'],
        victim.options,
      )
      const over = new AbortController()
      await Promise.race([victim.freezeRecorded(over.signal), running.ended])
      over.abort()
      running.signal('SIGSTOP') // so that it is not over before the container is
      await engine.docker(['rm', '--force', victim.container.id])
      running.signal('SIGCONT')
      const { code, out } = await running.ended
      // An engine that removes a container stops it first, and is asked at any moment between.
      assert.equal(code, 5)
      assert.match(errorOf(out), /^container_(?:gone|not_running)$/)
      victim.assertTidy()
    })

    await t.test('a stopped container that is started meanwhile is a clear error', async () => {
      await using victim = await startSubject(engine)
      await engine.docker(['kill', victim.container.id])
      const args = ['snapshot', victim.container.id, `oci:${victim.directory}/images:v1`, '--json']
      const running = startTintype(args, victim.options)
      if (name === 'docker28') {
        const { code, out } = await running.ended // where a stopped one has its files is not said there
        assert.deepEqual([code, errorOf(out)], [5, 'container_not_running'])
        return
      }
      await captureHasBegun(victim)
      running.signal('SIGSTOP') // so that it is not over before the container runs
      await engine.docker(['start', victim.container.id])
      running.signal('SIGCONT')
      const { code, out } = await running.ended
      assert.deepEqual([code, errorOf(out)], [5, 'container_gone'])
      assert.match(JSON.parse(out).error.message, /was started while it was saved: try again/)
      victim.assertTidy()
    })
  })

function errorOf(out: CommandResult['out']): string {
  return JSON.parse(out).error?.code ?? out
}

/** The upperdir's lock is taken before the spool is made. */
async function captureHasBegun({ options }: Subject): Promise<void> {
  const spools = join(options.home, 'spool')
  while (!existsSync(spools) || readdirSync(spools).length === 0) await wait(5)
}
