/** Whether a text matches; made once, asked often. */
export type Matcher = (text: string) => boolean

/**
 * A pattern where `*` stands for any text and `?` for any one character; all else stands for itself. No regular
 * expression: policies are written by users, and `*a*a*a*a` must not take longer than pattern times text.
 */
export function compileGlob(pattern: string): Matcher {
  const parts = pattern.split(/\*+/)
  const [first = ''] = parts
  if (parts.length === 1) return (text) => text.length === first.length && matchesAt(text, first, 0)
  const last = parts.at(-1) ?? ''
  const middle = parts.slice(1, -1)
  return (text) => {
    const end = text.length - last.length
    if (end < first.length || !matchesAt(text, first, 0) || !matchesAt(text, last, end)) return false
    // The leftmost place for each part is right: it leaves the most for the others.
    let at = first.length
    for (const part of middle) {
      while (at + part.length <= end && !matchesAt(text, part, at)) at++
      if (at + part.length > end) return false
      at += part.length
    }
    return true
  }
}

/** Whether `part`, which has no `*`, stands in `text` at `offset`. */
function matchesAt(text: string, part: string, offset: number): boolean {
  if (!part.includes('?')) return text.startsWith(part, offset)
  for (let i = 0; i < part.length; i++) if (part[i] !== '?' && part[i] !== text[offset + i]) return false
  return true
}
