import type { ReadStream } from 'node:tty'
import { AppError } from '#base/errors.ts'

/** What a prompt needs of standard input. */
export type PromptInput = Pick<ReadStream, 'setRawMode' | 'on' | 'off' | 'pause' | 'resume'>

export interface PromptOptions {
  readonly isHidden: boolean
  readonly signal: AbortSignal
}

const KEY = { interrupt: '\x03', end: '\x04', backspace: '\x7f', erase: '\b' } as const

/** Ask a person for one line; hidden, nothing that is typed is shown. Ctrl-C and Ctrl-D throw `cancelled`, as the signal does. */
export function askPerson(
  input: PromptInput,
  write: (text: string) => void,
  question: string,
  { isHidden, signal }: PromptOptions,
): Promise<string> {
  write(question)
  input.setRawMode(true)
  input.resume()
  return new Promise<string>((resolve, reject) => {
    let line = ''
    const finish = (end: () => void) => {
      input.off('data', onData)
      signal.removeEventListener('abort', onAbort)
      input.setRawMode(false)
      input.pause()
      write('\n')
      end()
    }
    const onAbort = () => finish(() => reject(new AppError('cancelled', 'Cancelled.')))
    const onData = (chunk: Buffer) => {
      for (const key of chunk.toString()) {
        if (key === '\r' || key === '\n') return finish(() => resolve(line))
        if (key === KEY.interrupt || key === KEY.end) return onAbort()
        const isErased = key === KEY.backspace || key === KEY.erase
        line = isErased ? Array.from(line).slice(0, -1).join('') : line + key
        if (!isHidden) write(isErased ? '\b \b' : key)
      }
    }
    input.on('data', onData)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
