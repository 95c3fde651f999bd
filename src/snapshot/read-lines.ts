import type { Readable } from 'node:stream'

export interface ReadLinesOptions {
  readonly mostBytes: number
  readonly onLine: (line: string) => void
  /** Called once; nothing is read any more after it. */
  readonly onTooLong: () => void
}

const NEWLINE = 0x0a

/** Hand on each line of a stream that is not trusted: of a line that does not end no more than `mostBytes` are kept. */
export function readLines(stream: Readable, { mostBytes, onLine, onTooLong }: ReadLinesOptions): void {
  let parts: Buffer[] = []
  let bytes = 0
  const take = (part: Buffer) => {
    parts.push(part)
    bytes += part.byteLength
  }
  stream.on('data', (chunk: Buffer) => {
    let from = 0
    while (bytes <= mostBytes) {
      const end = chunk.indexOf(NEWLINE, from)
      take(chunk.subarray(from, end < 0 ? chunk.byteLength : end))
      if (bytes > mostBytes) break
      if (end < 0) return
      const line = Buffer.concat(parts).toString('utf8')
      parts = []
      bytes = 0
      from = end + 1
      onLine(line)
    }
    stream.destroy()
    parts = []
    onTooLong()
  })
}
