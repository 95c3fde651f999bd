import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { withLock } from '#lab/lock.ts'
import { installFromNpm } from '#lab/npm.ts'
import { LAB_CACHE, LAB_LOCKS } from '#lab/workspace.ts'

const VERSION = '9.0.0'

/** The directory of the public load tool `autocannon`, installed from npm when it is first asked for. */
export async function autocannonDirectory(): Promise<string> {
  const home = `${LAB_CACHE}/autocannon-${VERSION}`
  const directory = `${home}/node_modules/autocannon`
  if (existsSync(directory)) return directory
  return await withLock(`${LAB_LOCKS}/autocannon`, async () => {
    if (existsSync(directory)) return directory // another process was quicker
    const making = `${home}.making`
    rmSync(making, { recursive: true, force: true })
    mkdirSync(making, { recursive: true })
    await installFromNpm(making, `autocannon@${VERSION}`)
    renameSync(making, home)
    return directory
  })
}
