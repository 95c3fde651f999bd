import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { missingPackages, ensurePackages } from '#lab/packages.ts'
import { makeOnce } from '#lab/debian-root.ts'
import { withLock } from '#lab/lock.ts'
import { clearWorkspace, LAB_LOCKS, mustRun, openWorkspace, startDaemon, startTimeOf } from '#lab/workspace.ts'

/** Another process of ours that runs `code` until it is ended. */
function otherProcess(code: string) {
  return spawn(process.execPath, ['--input-type=module-typescript', '--no-warnings', '--eval', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function firstLine(child: ReturnType<typeof otherProcess>): Promise<string> {
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  return chunk.toString().trim()
}

test('a lock has one holder at a time', async () => {
  const path = `${mkdtempSync(`${tmpdir()}/tintype-lock-`)}/lock`
  let inside = 0
  const work = async () => {
    assert.equal(++inside, 1)
    await new Promise((resolve) => setImmediate(resolve))
    inside--
  }
  await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)])
})

test('the lock of a process that is killed is free', async () => {
  const path = `${mkdtempSync(`${tmpdir()}/tintype-lock-`)}/lock`
  const holder = otherProcess(`
    import { withLock } from '#lab/lock.ts'
    await withLock('${path}', () => new Promise(() => { setInterval(() => {}, 1000); console.log('held') }))`)
  assert.equal(await firstLine(holder), 'held')
  holder.kill('SIGKILL')
  assert.equal(await withLock(path, async () => 'mine'), 'mine')
})

test('what is made once is made once by two who ask at the same time, and never half', async (t) => {
  const directory = mkdtempSync(`${tmpdir()}/tintype-once-`)
  t.after(() => rmSync(directory, { recursive: true }))
  const path = `${directory}/thing`
  let times = 0
  const make = async (temporary: string) => {
    times++
    writeFileSync(temporary, 'half, ')
    await new Promise((resolve) => setImmediate(resolve))
    writeFileSync(temporary, 'whole', { flag: 'a' })
  }
  await assert.rejects(
    makeOnce(path, async (temporary) => {
      writeFileSync(temporary, 'half')
      throw new Error('no space')
    }),
  )
  assert.equal(existsSync(path), false)
  await Promise.all([makeOnce(path, make), makeOnce(path, make)])
  assert.equal(readFileSync(path, 'utf8'), 'half, whole')
  assert.equal(times, 1)
})

test('what a killed run has left is ended, unmounted and removed by the next', async () => {
  const killed = otherProcess(`
    import { openWorkspace, startDaemon, mustRun } from '#lab/workspace.ts'
    const workspace = await openWorkspace('killed')
    await mustRun('mkdir', [workspace.directory + '/mount'])
    await mustRun('mount', ['-t', 'tmpfs', 'lab', workspace.directory + '/mount'])
    const { pid } = await startDaemon(workspace, { name: 'sleep', program: 'sleep', args: ['1000'], isReady: () => true })
    console.log(pid, workspace.directory)
    setInterval(() => {}, 1000)`)
  const [pid, directory] = (await firstLine(killed)).split(' ') as [string, string]
  // With the lock: nobody else who opens a workspace tidies up first.
  await withLock(`${LAB_LOCKS}/workspaces`, async () => {
    const gone = once(killed, 'exit')
    killed.kill('SIGKILL')
    await gone
    assert.notEqual(startTimeOf(Number(pid)), undefined)
  })
  await clearWorkspace(await openWorkspace('next'))
  assert.equal(startTimeOf(Number(pid)), undefined)
  assert.equal(existsSync(directory), false)
  assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(directory))
})

test('the workspace of a living process is left alone', async () => {
  const workspace = await openWorkspace('living')
  const other = otherProcess(`
    import { clearWorkspace, openWorkspace } from '#lab/workspace.ts'
    await clearWorkspace(await openWorkspace('other'))`)
  const [exitCode] = (await once(other, 'exit')) as [number | null]
  assert.equal(exitCode, 0)
  assert.equal(existsSync(workspace.directory), true)
  await clearWorkspace(workspace)
})

test('a daemon that does not come up is reported with the end of its log', async () => {
  const workspace = await openWorkspace('broken')
  const args = ['-c', 'echo the disk is full >&2; exit 3']
  await assert.rejects(startDaemon(workspace, { name: 'broken', program: 'sh', args, isReady: () => false }), {
    code: 'internal',
    message: 'broken did not start: it ended with 3. Its log ends:\nthe disk is full',
  })
  const missing = { name: 'missing', program: '/no/such/program', args: [], isReady: () => false }
  await assert.rejects(startDaemon(workspace, missing), /missing did not start: spawn \/no\/such\/program ENOENT/)
  await clearWorkspace(workspace)
})

test('a program that fails is reported with its words', async () => {
  await assert.rejects(mustRun('sh', ['-c', 'echo bad luck >&2; exit 4']), /^AppError: sh .* failed with 4: bad luck$/)
})

test('packages that are there are not missing, and one that no archive has is an error with its name', async () => {
  assert.deepEqual(await missingPackages(['dpkg', 'tintype-no-such-package']), ['tintype-no-such-package'])
  await assert.rejects(ensurePackages(['tintype-no-such-package']), /tintype-no-such-package/)
})
