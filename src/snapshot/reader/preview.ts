import { groupByDirectory, type Exclusions } from '#overlay/exclusions.ts'
import { FILE_TYPE } from '#posix/stat.ts'
import { WHITEOUT_PREFIX } from '#overlay/xattrs.ts'
import type { PreviewEvent } from '#snapshot/protocol.ts'
import { NamedPaths } from './named-paths.ts'
import { FLAG, ROOT, type Rows } from './rows.ts'
import { sparseFiles } from './sparse.ts'
import { MOST_FILE_BYTES } from './walk.ts'

const LARGEST = 20
const MOST_KEPT = LARGEST * 10
const SECRET_NAMES =
  /^(?:id_(?:rsa|dsa|ecdsa|ed25519)|\.netrc|\.pgpass|\.git-credentials|\.env|\.npmrc|\.pypirc|credentials\.json|.+\.(?:pem|key|p12|pfx|kdbx))$/
const SECRET_PATHS =
  /(?:^|\/)(?:\.aws\/credentials|\.docker\/config\.json|\.kube\/config|\.(?:cache\/)?huggingface\/token|\.ssh\/[^/]*_key)$/

/** What the last name of such a path can be: paths are made for these alone. */
const SECRET_PATH_NAMES = /^(?:credentials|config\.json|token|config|.*_key)$/

interface Total {
  bytes: number
  entries: number
}

/** What a capture of all rows would take: totals, the largest directories and files, what is excluded, what looks like a secret. */
export function summarize(rows: Rows, exclusions: readonly string[]): PreviewEvent {
  const summary = new Summary(rows, exclusions)
  summary.visit(ROOT, '')
  return summary.event()
}

class Summary {
  readonly #rows: Rows
  readonly #excluded: Map<string, Total>
  readonly #exclusions: Exclusions
  readonly #directories: { path: string; bytes: number; entries: number }[] = []
  readonly #files: { path: string; bytes: number }[] = []
  readonly #secrets = new NamedPaths()

  constructor(rows: Rows, exclusions: readonly string[]) {
    this.#rows = rows
    this.#exclusions = groupByDirectory(exclusions)
    this.#excluded = new Map(exclusions.map((path) => [path.slice(1), { bytes: 0, entries: 0 }]))
  }

  /** Adds up a directory and everything below it that is not excluded. */
  visit(directory: number, path: string): Total {
    const rows = this.#rows
    const total: Total = { bytes: 0, entries: 1 }
    const below = path === '' ? '' : `${path}/`
    const excludedNames = this.#exclusions.get(path === '' ? '' : `/${path}`)
    const first = rows.firstChild(directory)
    for (let row = first; row < first + rows.childCount(directory); row++) {
      if (!rows.isLive(row)) continue
      const name = rows.name(row)
      const child = rows.isDirectory(row) ? this.visit(row, below + name) : this.#entry(row, below, name)
      const excluded = excludedNames?.has(name) ? this.#excluded.get(below + name) : undefined
      if (excluded) Object.assign(excluded, child)
      else {
        total.bytes += child.bytes
        total.entries += child.entries
      }
    }
    keepLargest(this.#directories, { path, ...total })
    return total
  }

  event(): PreviewEvent {
    const isExcluded = ({ path }: { path: string }) => isBelow(path, this.#excluded)
    const all = this.#directories.find(({ path }) => path === '')
    const skipped = skippedEntries(this.#rows)
    return {
      event: 'preview',
      entries: all?.entries ?? 0,
      rawBytes: all?.bytes ?? 0,
      directories: this.#directories.filter((item) => item.path !== '' && !isExcluded(item)).slice(0, LARGEST),
      files: this.#files.filter((item) => !isExcluded(item)).slice(0, LARGEST),
      excluded: [...this.#excluded].map(([path, total]) => ({ path, ...total })),
      secrets: this.#secrets.paths.filter((path) => !isExcluded({ path })),
      skipped: skipped.entries,
      unnamed: skipped.unnamed + this.#secrets.unnamed,
      sparse: sparseFiles(this.#rows, [...this.#excluded.keys()]),
    }
  }

  #entry(row: number, below: string, name: string): Total {
    if (!this.#rows.isRegular(row)) return { bytes: 0, entries: 1 }
    const bytes = this.#rows.sizeBytes(row)
    if (isAmongLargest(this.#files, bytes)) keepLargest(this.#files, { path: below + name, bytes })
    const looksSecret = SECRET_NAMES.test(name) || (SECRET_PATH_NAMES.test(name) && SECRET_PATHS.test(below + name))
    if (looksSecret) this.#secrets.add(below + name)
    return { bytes, entries: 1 }
  }
}

/** Insert into a list that stays sorted and short; a surplus is kept, because excluded ones are taken out at the end. */
function keepLargest<T extends { bytes: number }>(list: T[], item: T): void {
  if (!isAmongLargest(list, item.bytes)) return
  const at = list.findIndex(({ bytes }) => bytes < item.bytes)
  list.splice(at < 0 ? list.length : at, 0, item)
  if (list.length > MOST_KEPT) list.pop()
}

function isAmongLargest(list: readonly { readonly bytes: number }[], bytes: number): boolean {
  return list.length < MOST_KEPT || (list.at(-1)?.bytes ?? 0) < bytes
}

function isBelow(path: string, excluded: ReadonlyMap<string, unknown>): boolean {
  for (let at = path; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) if (excluded.has(at)) return true
  return false
}

/** What is in the upperdir and can never be in a layer, with the reason. */
export function skippedEntries(rows: Rows): NamedPaths {
  const skipped = new NamedPaths()
  const visit = (directory: number) => {
    const first = rows.firstChild(directory)
    for (let row = first; row < first + rows.childCount(directory); row++) {
      if (rows.has(row, FLAG.gone)) continue
      if (rows.has(row, FLAG.skipped)) skipped.add(rows.path(row), skipReason(rows, row))
      else if (rows.isDirectory(row)) visit(row)
    }
  }
  visit(ROOT)
  return skipped
}

function skipReason(rows: Rows, row: number): string {
  if (rows.type(row) === FILE_TYPE.socket) return 'a socket, which only the process that listens on it can make'
  if (rows.name(row).startsWith(WHITEOUT_PREFIX))
    return 'its name begins with .wh., which deletes a file when a layer is unpacked'
  if (rows.isRegular(row)) return `its size is above ${MOST_FILE_BYTES / 2 ** 40} TiB`
  return 'its path is longer than 4095 bytes'
}

/** The exclusions that no pass met, except those that another one covers. */
export function unusedExclusions(exclusions: readonly string[], met: ReadonlySet<string>): readonly string[] {
  const others = (path: string) => exclusions.some((other) => path.startsWith(`${other}/`))
  return exclusions.filter((path) => !met.has(path) && !others(path))
}
