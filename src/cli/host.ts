import { constants, existsSync } from 'node:fs'
import { access, readFile, statfs } from 'node:fs/promises'
import { release } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import type { Config } from '#config/config.ts'
import { loadIsal } from '#posix/isal.ts'
import type { Host } from './doctor-checks.ts'
import { readEngineFacts } from './engine-facts.ts'

const canReach = (path: string, mode: number) =>
  access(path, mode).then(
    () => true,
    () => false,
  )

/** This host, for the checks of `doctor`. */
export function realHost(config: Config, env: NodeJS.ProcessEnv): Host {
  return {
    uid: process.getuid?.() ?? -1,
    nodeVersion: process.version,
    kernelRelease: release(),
    home: config.home,
    readText: (path) => readFile(path, 'utf8').catch(() => undefined),
    hasPath: (path) => canReach(path, constants.F_OK),
    async findProgram(name) {
      for (const directory of (env.PATH ?? '').split(delimiter))
        if (directory !== '' && (await canReach(join(directory, name), constants.X_OK))) return join(directory, name)
      return undefined
    },
    async room(path) {
      let existing = path
      while (!existsSync(existing)) existing = dirname(existing)
      const { bavail, bsize } = await statfs(existing)
      return { isWritable: await canReach(existing, constants.W_OK), freeBytes: bavail * bsize }
    },
    hasIsal: async () => loadIsal(1) !== undefined,
    engine: (signal) => readEngineFacts(config.dockerSocketPath, signal),
  }
}
