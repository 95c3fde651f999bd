import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Preview } from '#snapshot/result.ts'
import { startContainer } from '#lab/container.ts'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import { debianImage } from '#lab/images.ts'
import { runTintype } from '../support/command.ts'

/**
 * design.md §4.1: a container that may make user namespaces makes a process that looks like a container's init from
 * outside: its NSpid ends in 1, and the `/` of its mountinfo is an overlay that names a directory of the host.
 */
const FORGE = `
mount -t tmpfs forged "$0"
mkdir "$0/lower" "$0/upper" "$0/work" "$0/root"
mount -t overlay overlay -o "lowerdir=$0/lower,upperdir=$0/upper,workdir=$0/work,userxattr" "$0/root"
mkdir "$0/root/old"
mkfifo "$0/root/wait"
cd "$0/root"
pivot_root . old
: > /old/forged
read nothing <> /wait`

/** Processes in the container, by the host's ids, that look like an init and are not. */
function forgedInits(container: number): readonly number[] {
  const children = readFileSync(`/proc/${container}/task/${container}/children`, 'latin1')
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return children.flatMap((pid) => {
    const nsPid = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? ''
    return [...(nsPid.split('\t').length > 2 && nsPid.endsWith('\t1') ? [pid] : []), ...forgedInits(pid)]
  })
}

const rootOf = (pid: number) =>
  readFileSync(`/proc/${pid}/mountinfo`, 'latin1')
    .split('\n')
    .find((line) => line.split(' ')[4] === '/')

for (const name of testedEngines()) {
  test(`a forged init is not taken for the container's: ${name}`, { skip: whyNoEngine(name) }, async () => {
    const host = mkdtempSync(join(tmpdir(), 'tintype-forged-'))
    try {
      mkdirSync(join(host, 'upper'))
      writeFileSync(join(host, 'upper/canary'), 'a file of the host')
      await using engine = await labEngine(name)
      const forge = `mkdir -p ${host}; echo of the container > /mine; unshare --user --map-root-user --mount --pid --fork sh -ec '${FORGE}' ${host}; sleep 1000`
      await using container = await startContainer(engine, await debianImage(engine), {
        args: ['--security-opt', 'seccomp=unconfined', '--security-opt', 'apparmor=unconfined'],
        command: ['sh', '-c', forge],
      })
      await container.exec(['sh', '-c', 'until [ -e /forged ]; do sleep 0.05; done'])
      const [forged] = forgedInits(container.pid)
      assert.ok(forged !== undefined && rootOf(forged)?.includes(`upperdir=${host}/upper`), 'the forgery stands')

      const options = { home: join(host, 'home'), socketPath: engine.socketPath }
      const { code, out, err } = await runTintype(['preview', container.id, '--json'], options)
      assert.equal(code, 0, err + out)
      const { largestFiles } = JSON.parse(out) as Preview
      const paths = largestFiles.map(({ path }) => path)
      assert.ok(paths.includes('/mine'), 'what the container wrote')
      assert.ok(!paths.includes('/canary'), 'what lies where the forgery points to')
    } finally {
      rmSync(host, { recursive: true })
    }
  })
}
