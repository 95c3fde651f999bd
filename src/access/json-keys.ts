/**
 * A key that is twice in one object of `text`, which is valid JSON; undefined when there is none. JSON.parse takes the
 * last one without a word, and a condition that was written would be gone.
 */
export function repeatedKey(text: string): string | undefined {
  const token = /"((?:[^"\\]|\\.)*)"(\s*:)?|[{}]/g
  const open: Set<string>[] = []
  for (const [found, , colon] of text.matchAll(token)) {
    if (found === '{') open.push(new Set())
    else if (found === '}') open.pop()
    else if (colon !== undefined) {
      const key: unknown = JSON.parse(found.slice(0, -colon.length))
      const keys = open.at(-1)
      if (typeof key !== 'string' || keys === undefined) continue
      if (keys.has(key)) return key
      keys.add(key)
    }
  }
  return undefined
}
