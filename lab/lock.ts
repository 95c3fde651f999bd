import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '#base/errors.ts'

/**
 * Run `work` while this process, and no other that asks for the same file, holds a lock. The lock belongs to a child
 * that waits for the end of its input, so the kernel gives it back however this process ends.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true })
  // --close would let the lock go with flock itself; without it `cat` holds it.
  const holder = spawn('flock', ['--exclusive', path, 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true, // Ctrl-C must not let the lock go before the work that it guards has been undone
  })
  const gone = once(holder, 'exit')
  const held = await Promise.race([once(holder.stdout, 'data').then(() => true), gone.then(() => false)])
  if (!held) throw new AppError('internal', `The lock ${path} could not be taken: flock ended.`)
  try {
    return await work()
  } finally {
    holder.stdin.end()
    await gone
  }
}
