import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A process that changes files without any trace in their timestamps: see silent-writer.py for its commands. */
export interface SilentWriter extends AsyncDisposable {
  /** Returns when the command has been carried out. */
  tell(command: string): Promise<void>
}

export function startSilentWriter(): SilentWriter {
  const program = fileURLToPath(new URL('silent-writer.py', import.meta.url))
  const child = spawn('python3', [program], { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    async tell(command) {
      child.stdin.write(`${command}\n`)
      const { value } = await answers.next()
      if (value !== command.split(' ')[0]) throw new Error(`"${command}" was answered with ${value}`)
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}
