/** The freezer against real engines: what they say and what the kernel says agree, before and after. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findFreezerCgroup, freezeCgroup, readCgroupState, thawCgroup } from '#freezer/cgroup.ts'
import { openFreezer, type FreezerOptions } from '#freezer/freeze.ts'
import { identifyProcess } from '#freezer/process-identity.ts'
import { recordPath, writeRecord } from '#freezer/record.ts'
import { thawLeftovers } from '#freezer/recover.ts'
import { startContainer, type Container } from '#lab/container.ts'
import { untilThawed } from '#lab/counting-group.ts'
import { labEngine, type Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'

const COUNT = ['sh', '-c', 'while :; do printf x >> /count; usleep 5000; done']
const OWNER = fileURLToPath(import.meta.resolve('#lab/freeze-owner.ts'))

interface Subject extends AsyncDisposable {
  readonly container: Container
  readonly options: FreezerOptions
  readonly cgroup: string
  /** What the engine says. */
  status(): Promise<string>
}

async function counting(engine: Engine): Promise<Subject> {
  const container = await startContainer(engine, await busyboxImage(engine), { command: COUNT })
  const home = mkdtempSync(join(tmpdir(), 'tintype-run-'))
  const cgroup = findFreezerCgroup(container.pid, container.id)!
  return {
    container,
    cgroup,
    options: {
      freezer: { kind: 'engine', socketPath: engine.socketPath, containerId: container.id, cgroup },
      init: identifyProcess(container.pid)!,
      home,
      maxFreezeMs: 60_000, // longer than anything here takes, however busy the machine is
    },
    status: () => engine.docker(['inspect', '--format', '{{.State.Status}}', container.id]),
    async [Symbol.asyncDispose]() {
      await container.remove()
      rmSync(home, { recursive: true })
    },
  }
}

for (const name of ['docker20', 'docker28'] as const)
  test(name, async (t) => {
    await using engine = await labEngine(name)
    await using subject = await counting(engine)
    const { options, cgroup, container } = subject
    assert.ok(options.freezer.kind === 'engine')

    await t.test('barrier and freeze leave nothing behind', async () => {
      await using freezer = openFreezer(options)
      const barrier = await freezer.barrier()
      assert.ok(barrier.durationMs < 30_000, `${barrier.durationMs} ms`)
      const frozen = await freezer.freeze()
      assert.deepEqual([await subject.status(), readCgroupState(cgroup)], ['paused', 'frozen'])
      await frozen.stillFrozen()
      await frozen.thaw()
      assert.deepEqual([await subject.status(), readCgroupState(cgroup)], ['running', 'thawed'])
      assert.deepEqual(readdirSync(options.home!), [])
      assert.equal(await container.exec(['echo', 'alive']), 'alive')
    })

    await t.test('docker unpause by someone else voids the freeze', async () => {
      await using freezer = openFreezer(options)
      const frozen = await freezer.freeze()
      await container.unpause()
      await assert.rejects(frozen.stillFrozen(), { code: 'container_gone' })
      await frozen.thaw()
      assert.equal(await subject.status(), 'running')
    })

    await t.test('docker pause by someone else is refused, and stays', async () => {
      await container.pause()
      await using freezer = openFreezer(options)
      await assert.rejects(freezer.freeze(), { code: 'container_paused' })
      assert.equal(await subject.status(), 'paused')
      await container.unpause()
    })

    await t.test('kill -9 of the owner: thawed within a second, and the engine knows', async () => {
      const owner = spawn(process.execPath, [OWNER, JSON.stringify(options)], {
        detached: true,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await new Promise((resolve) => owner.stdout.once('data', resolve))
      assert.equal(readCgroupState(cgroup), 'frozen')
      process.kill(-owner.pid!, 'SIGKILL')
      await untilThawed(cgroup, 30_000) // and not that of the budget
      while ((await subject.status()) !== 'running');
      assert.equal(await container.exec(['echo', 'alive']), 'alive')
    })

    await t.test('thawed behind its back, the engine is put right at the next start (attacks.md A9)', async () => {
      await container.pause()
      await thawCgroup(cgroup)
      assert.equal(await subject.status(), 'paused', 'the wedge')
      await assert.rejects(container.unpause())
      const { freezer, init } = options
      const owner = { pid: process.pid, startTime: '1' }
      const path = recordPath(options.home!, freezer, owner)
      writeRecord(path, { freezer, init, owner, deadlineMs: 0, engineBehind: true })
      assert.deepEqual(
        (await thawLeftovers({ home: options.home! })).map(({ did }) => did),
        ['repaired'],
      )
      assert.deepEqual([await subject.status(), readCgroupState(cgroup)], ['running', 'thawed'])
      assert.equal(await container.exec(['echo', 'alive']), 'alive')
    })

    await t.test('a container that is removed while frozen is gone, not empty', async () => {
      await using victim = await counting(engine)
      await using freezer = openFreezer(victim.options)
      const frozen = await freezer.freeze()
      await engine.docker(['rm', '--force', victim.container.id])
      await assert.rejects(frozen.stillFrozen(), { code: 'container_gone' })
      await frozen.thaw()
      await assert.rejects(freezer.freeze(), { code: 'container_gone' })
      await assert.rejects(freezeCgroup(victim.cgroup), { code: 'container_gone' })
    })
  })
