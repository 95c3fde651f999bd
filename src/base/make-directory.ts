import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCode } from './errors.ts'

/**
 * Make `path` with the directories above it that are missing; returns the topmost that was made, undefined when all were
 * there. Throws the system error of the first that cannot be made. Node's own `recursive` never ends where a directory
 * is there and nothing can be made in it, as below /proc (nodejs/node#31481).
 */
export async function makeDirectory(path: string, mode?: number): Promise<string | undefined> {
  try {
    return await makeOne(path, mode)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(path) === path) throw error
  }
  const first = await makeDirectory(dirname(path), mode)
  const last = await makeOne(path, mode)
  return first ?? last
}

async function makeOne(path: string, mode: number | undefined): Promise<string | undefined> {
  try {
    await mkdir(path, mode)
    return path
  } catch (error) {
    // Not by the code: what is there says EEXIST, but EROFS on a read-only disk and EISDIR for the root of some systems.
    if (await isDirectory(path)) return undefined
    throw error
  }
}

function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
