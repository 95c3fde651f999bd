import { ROOT, type Rows } from './rows.ts'

/** Names of tar members: raw bytes, a slash at the end of a directory's. The prefix is kept from one sibling to the next. */
export class MemberNames {
  readonly #rows: Rows
  #prefixRow = -1
  #prefix: Buffer = Buffer.alloc(0)

  constructor(rows: Rows) {
    this.#rows = rows
  }

  of(row: number): Uint8Array {
    const rows = this.#rows
    if (row === ROOT) return Buffer.from('./')
    const parent = rows.parent(row)
    if (parent !== this.#prefixRow) {
      this.#prefix = parent === ROOT ? Buffer.alloc(0) : Buffer.from(`${rows.path(parent)}/`, 'latin1')
      this.#prefixRow = parent
    }
    const isDirectory = rows.isDirectory(row)
    const length = this.#prefix.length + rows.nameLength(row)
    const name = Buffer.allocUnsafe(length + (isDirectory ? 1 : 0))
    name.set(this.#prefix)
    rows.names.copy(name, this.#prefix.length, rows.nameOffset(row), rows.nameOffset(row) + rows.nameLength(row))
    if (isDirectory) name[length] = 0x2f
    return name
  }
}
