import { readSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import type { IndexCounts, LoadedIndex } from '#snapshot/protocol.ts'
import { FLAG, ROOT, ROW_BYTES, type Rows } from './rows.ts'
import { writeWhole } from './write-whole.ts'

/** So many rows are written at a time: memory does not grow with their number. */
const CHUNK_ROWS = 1 << 14

/** Fill empty `rows` from the body of an index: its rows, then their names. Throws `reader_failed` when the file is shorter. */
export function loadRows(rows: Rows, descriptor: number, index: LoadedIndex): void {
  const { rows: count, nameBytes, doubtMicros, unmounted = [] } = index
  rows.fill(count, nameBytes)
  const rowBytes = count * ROW_BYTES
  readWhole(descriptor, rows.bytes.subarray(0, rowBytes), 0)
  readWhole(descriptor, rows.names.subarray(0, nameBytes), rowBytes)
  for (let row = 0; row < count; row++) {
    if (rows.has(row, FLAG.inexact)) rows.setReadMicros(row, 0)
    else if (doubtMicros > 0) rows.setReadMicros(row, rows.readMicros(row) - doubtMicros)
  }
  for (const path of unmounted) {
    const directory = findRow(rows, path.split('/').slice(1, -1))
    if (directory !== undefined) rows.setReadMicros(directory, 0) // it is listed again
  }
}

function findRow(rows: Rows, names: readonly string[]): number | undefined {
  let row = ROOT
  for (const name of names) {
    if (!rows.isDirectory(row)) return undefined
    const first = rows.firstChild(row)
    let child = first
    while (child < first + rows.childCount(row) && rows.name(child) !== name) child++
    if (child === first + rows.childCount(row)) return undefined
    row = child
  }
  return row
}

/**
 * Write what the next capture has to know, as `loadRows` reads it: the rows that are there, each directory's children as
 * one block, parents first; room that was left behind by rows that have moved is not written. Throws `spool_full`.
 */
export function saveRows(rows: Rows, descriptor: number): IndexCounts {
  const order = orderRows(rows)
  const writer = new Writer(descriptor)
  let nameBytes = 0
  for (let from = 0; from < order.count; from += CHUNK_ROWS) {
    const to = Math.min(from + CHUNK_ROWS, order.count)
    const chunk = Buffer.allocUnsafe((to - from) * ROW_BYTES)
    for (let row = from; row < to; row++) {
      const old = order.rows[row] ?? ROOT
      const place = {
        nameOffset: nameBytes,
        parent: order.parents[row] ?? ROOT,
        firstChild: order.firstChildren[row] ?? 0,
        childCount: order.childCounts[row] ?? 0,
      }
      rows.copyRow(old, chunk, { at: (row - from) * ROW_BYTES, place })
      nameBytes += rows.nameLength(old) + 1
    }
    writer.write(chunk)
  }
  writeNames(rows, order, writer)
  return { rows: order.count, nameBytes }
}

interface Order {
  readonly count: number
  /** New place to old row. */
  readonly rows: Uint32Array
  readonly parents: Uint32Array
  readonly firstChildren: Uint32Array
  readonly childCounts: Uint32Array
}

function orderRows(rows: Rows): Order {
  const length = rows.count
  const order = {
    rows: new Uint32Array(length),
    parents: new Uint32Array(length),
    firstChildren: new Uint32Array(length),
    childCounts: new Uint32Array(length),
  }
  let count = 1 // the root
  for (let place = 0; place < count; place++) {
    const directory = order.rows[place] ?? ROOT
    const first = rows.firstChild(directory)
    order.firstChildren[place] = count
    if (!rows.isDirectory(directory)) continue
    for (let child = first; child < first + rows.childCount(directory); child++) {
      // What is gone, and told to be so, is what the directory would look like without it.
      if (rows.has(child, FLAG.gone) && !rows.has(child, FLAG.emitted)) continue
      order.rows[count] = child
      order.parents[count] = place
      count++
    }
    order.childCounts[place] = count - (order.firstChildren[place] ?? count)
  }
  return { ...order, count }
}

function writeNames(rows: Rows, { count, rows: order }: Order, writer: Writer): void {
  for (let from = 0; from < count; from += CHUNK_ROWS) {
    const names: Uint8Array[] = []
    for (let place = from; place < Math.min(from + CHUNK_ROWS, count); place++) {
      const row = order[place] ?? ROOT
      const offset = rows.nameOffset(row)
      names.push(rows.names.subarray(offset, offset + rows.nameLength(row) + 1)) // with its NUL
    }
    writer.write(Buffer.concat(names))
  }
}

class Writer {
  readonly #descriptor: number
  #position = 0

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  write(bytes: Uint8Array): void {
    writeWhole(this.#descriptor, bytes, this.#position, 'The index of the container')
    this.#position += bytes.byteLength
  }
}

function readWhole(descriptor: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.byteLength;) {
    const got = readSync(descriptor, into, done, into.byteLength - done, position + done)
    if (got === 0) throw new AppError('reader_failed', 'The index of the container is shorter than it should be.')
    done += got
  }
}
