import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { findFreezerCgroup } from '#freezer/cgroup.ts'
import type { Container } from '#lab/container.ts'
import { number, path } from '../snapshot/edits.ts'

/** One edit of editor.py. */
export type Operation = readonly [kind: string, path: string, other: string, n: number]

/** As editor.py has them. */
const KINDS = [
  'create', 'write', 'append', 'truncate', 'rewrite', 'chmod', 'chown', 'setxattr', 'removexattr', 'rename', 'link', 'symlink',
  'unlink', 'remove', 'mkdir', 'recreate', 'directory to file', 'mkfifo', 'store', 'block', 'log',
] as const // prettier-ignore

/** What is done over and over while a snapshot is taken: what goes comes again, and the log grows whatever becomes of the rest. */
export const operations: fc.Arbitrary<readonly Operation[]> = fc
  .array(fc.tuple(fc.constantFrom(...KINDS), path, path, number), { minLength: 10, maxLength: 40 })
  .map((some) => [
    ...some,
    ...(['create', 'mkdir', 'store', 'log'] as const).map((kind) => [kind, 'a', 'b', 1] as const),
  ])

/** A process that edits in a container, and is frozen with it. */
export interface Editor extends AsyncDisposable {
  /** Do these over and over from now on; none: rest. Returns how many edits have taken effect so far. */
  tell(operations: readonly Operation[]): Promise<number>
  /** Where it is. In a frozen container that is the state of the freeze, for a signal comes before all else after a thaw. */
  stop(): void
  goOn(): void
}

/** In the container's cgroup, and at work in its `directory`; its program and interpreter are the host's. */
export async function startEditor({ id, pid }: Container, directory: string): Promise<Editor> {
  const cgroup = findFreezerCgroup(pid, id)
  if (cgroup === undefined) throw new Error(`the cgroup of ${id} is not known`)
  const program = fileURLToPath(new URL('editor.py', import.meta.url))
  const args = [program, join(dirname(cgroup), 'cgroup.procs'), `/proc/${pid}/root${directory}`]
  const child = spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => {
    const { value, done } = await answers.next()
    if (done) throw new Error('the editor has ended')
    return Number(value)
  }
  await answer()
  const signal = (name: NodeJS.Signals) => {
    if (!child.kill(name)) throw new Error('the editor has ended')
  }
  return {
    stop: () => signal('SIGSTOP'),
    goOn: () => signal('SIGCONT'),
    async tell(operations) {
      child.stdin.write(`${JSON.stringify(operations)}\n`)
      return await answer()
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGCONT')
      child.stdin.end()
      await ended
    },
  }
}
