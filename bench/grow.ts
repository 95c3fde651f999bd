import { randomFillSync } from 'node:crypto'
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import type { Container } from '#lab/container.ts'
import { makeTree, type Tree } from '#lab/tree.ts'

/** Where the trees are, as the container sees them. */
const HOME = '/opt'
const SMALL_FILE = 'a file of which there are many\n'
const FILES_IN_DIRECTORY = 200
const LARGE_FILES = 18
const LARGE_FILE_BYTES = 1e9

const pathIn = ({ pid }: Container, name: string) => `/proc/${pid}/root${HOME}/${name}`

/** More files like those of a Python installation, 20 kB in the mean. */
export async function addTree(container: Container, files: number): Promise<Tree> {
  return await makeTree(pathIn(container, `tree-${files}`), { files })
}

/** More files that hold next to nothing: what a walk costs and reading does not. */
export async function addSmallFiles(container: Container, files: number): Promise<void> {
  const top = pathIn(container, `small-${files}`)
  for (let number = 0; number < files; number++) {
    const directory = `${top}/${Math.floor(number / FILES_IN_DIRECTORY)}`
    if (number % FILES_IN_DIRECTORY === 0) {
      mkdirSync(directory, { recursive: true })
      await setImmediate()
    }
    writeFileSync(`${directory}/${number}`, SMALL_FILE)
  }
}

/** Ten times the bytes of the reference work in as many files: sparse ones, which read as any other. */
export function addLargeFiles(container: Container, scale: number): number {
  const directory = pathIn(container, 'large')
  const bytes = Math.round(LARGE_FILE_BYTES * scale)
  mkdirSync(directory)
  for (let number = 0; number < LARGE_FILES; number++) {
    writeFileSync(`${directory}/${number}`, `${number}\n`)
    truncateSync(`${directory}/${number}`, bytes)
  }
  return LARGE_FILES * bytes
}

export function removeLargeFiles(container: Container): void {
  rmSync(pathIn(container, 'large'), { recursive: true })
}

export interface Change {
  readonly files: number
  readonly bytesPerFile: number
}

/** The small change of design.md §9: 100 files, 10 MB. */
export const SMALL_CHANGE: Change = { files: 100, bytesPerFile: 100_000 }

/** Write some files anew, always the same ones; the first call makes them. */
export function change(container: Container, { files, bytesPerFile }: Change): void {
  const directory = pathIn(container, 'changed')
  mkdirSync(directory, { recursive: true })
  // Hexadecimal digits: like most of what people write, they compress by half.
  const content = randomFillSync(Buffer.alloc(bytesPerFile)).toString('hex').slice(0, bytesPerFile)
  for (let number = 0; number < files; number++) writeFileSync(`${directory}/${number}`, `${number}${content}`)
}
