import { spawn } from 'node:child_process'

/**
 * Write back what is dirty on the file system of `path` (syncfs(2)), in a process of its own, because the call cannot be
 * interrupted. False when it has not returned within `limitMs`: it goes on, and nothing waits for it (attacks.md A2).
 */
export function syncFileSystem(path: string, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('sync', ['--file-system', '--', path], { stdio: 'ignore', detached: true })
    child.unref()
    const timer = setTimeout(() => resolve(false), limitMs)
    const finish = (isDone: boolean) => {
      clearTimeout(timer)
      resolve(isDone)
    }
    child.once('error', () => finish(false))
    child.once('exit', (code) => finish(code === 0))
  })
}
