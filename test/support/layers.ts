import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'

export interface LayerMember {
  /** As `ls -l` gives it: `-` file, `d` directory, `l` symlink, `h` hard link … */
  readonly type: string
  /** With escapes for what does not print; a directory's ends with a slash. */
  readonly name: string
  /** Of a hard link. */
  readonly target?: string
}

/** POSIX's word for names that are not UTF-8 (pax, `hdrcharset`): GNU tar takes them as they are, and says this. */
const UNKNOWN_TO_TAR = "tar: Ignoring unknown extended header keyword 'hdrcharset'"

/** The members of a layer as GNU tar lists them. `layer` is a tar, or the path of one, which may be compressed. */
export function listLayer(layer: Uint8Array | string): readonly LayerMember[] {
  const [file, input] = typeof layer === 'string' ? [layer, ''] : ['-', layer]
  const script = 'exec tar --quoting-style=escape --numeric-owner -tvf "$1" 2>&1' // a warning is a line that is no member
  const lines = execFileSync('sh', ['-c', script, 'sh', file], { input, maxBuffer: 1 << 30 })
    .toString()
    .split('\n')
  return lines.filter((line) => line !== '' && line !== UNKNOWN_TO_TAR).map(parseMember)
}

function parseMember(line: string): LayerMember {
  const parts = /^([-dlhpcb])[-rwxsStT]{9} \d+\/\d+ +[\d,]+ -?\d+-\d\d-\d\d \d\d:\d\d (.*)$/.exec(line)
  assert.ok(parts, `GNU tar says: ${line}`)
  const [, type = '', rest = ''] = parts
  const [name = '', target] = type === 'h' ? rest.split(' link to ') : type === 'l' ? rest.split(' -> ') : [rest]
  return { type, name, ...(target !== undefined && type === 'h' && { target }) }
}

/** GNU tar reads each layer without a warning, and none has a form that some engine cannot pull (attacks.md A6 to A8). */
export function assertReadable(layers: readonly (Uint8Array | string)[]): void {
  for (const layer of layers) {
    const members = listLayer(layer)
    const directories = new Set([''])
    const files = new Set<string>()
    const withEntries = new Set<string>()
    for (const { type, name, target } of members) {
      const path = name.replace(/\/$/, '')
      const parent = name.slice(0, path.lastIndexOf('/') + 1)
      assert.ok(directories.has(parent), `${name} comes after the headers of its ancestors`)
      assert.ok(!files.has(path) && !directories.has(`${path}/`), `${name} twice`)
      if (target !== undefined)
        assert.ok(files.has(target), `${name} is a link to ${target}, which is not in the layer`)
      const isWhiteout = path.startsWith('.wh.', parent.length)
      assert.ok(!isWhiteout || !withEntries.has(parent), `the whiteout ${name} comes after an entry of its directory`)
      // Links stand behind their first member, wherever they are, with the headers of their directories (attacks.md B1).
      if (!isWhiteout && type !== 'd' && type !== 'h') withEntries.add(parent)
      if (type === 'd') directories.add(name)
      else files.add(path)
    }
    const isThere = (path: string) => files.has(path) || directories.has(`${path}/`)
    for (const { name } of members) {
      const [, parent = '', hidden = ''] = /^(.*\/|)\.wh\.([^/]+)$/.exec(name) ?? []
      if (hidden === '' || hidden === '.wh..opq') continue
      assert.ok(!isThere(parent + hidden), `${parent}${hidden} and its whiteout in one layer`)
      for (let at = parent; ; at = at.slice(0, at.lastIndexOf('/', at.length - 2) + 1)) {
        assert.ok(!files.has(`${at}.wh..wh..opq`), `${name} beside or below the opaque marker of ${at}`)
        if (at === '') break
      }
    }
  }
}
