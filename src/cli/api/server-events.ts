import { throwIfAborted } from '#base/abort.ts'
import { notUnderstood } from './answer-error.ts'

/** One event of a stream; `event` is `message` where the server names none. */
export interface ReceivedEvent {
  readonly event: string
  readonly data: string
}

/** One event of ours has a few kB; what never ends is not kept. */
const MOST_CHARACTERS = 1_000_000

/** The events of a response (HTML standard, § Server-sent events). Throws `answer_invalid` for one without an end. */
export async function* readEvents(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): AsyncIterable<ReceivedEvent> {
  if (body === null) return
  const decoder = new TextDecoder()
  let rest = ''
  let fields: Fields = EMPTY
  for await (const chunk of body) {
    throwIfAborted(signal)
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (fields.data.length > 0) yield { event: fields.event, data: fields.data.join('\n') }
        fields = EMPTY
      } else fields = withLine(fields, line)
    }
    if (rest.length + fields.size > MOST_CHARACTERS) throw notUnderstood('has an event that does not end')
  }
}

interface Fields {
  readonly event: string
  readonly data: readonly string[]
  readonly size: number
}

const EMPTY: Fields = { event: 'message', data: [], size: 0 }

function withLine(fields: Fields, line: string): Fields {
  const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
  if (name === 'event') return { ...fields, event: value }
  if (name !== 'data') return fields // a comment, which says that the server lives; an id; a time to try again
  return { ...fields, data: [...fields.data, value], size: fields.size + value.length }
}
