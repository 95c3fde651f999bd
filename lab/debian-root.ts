import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { mustRun, LAB_CACHE, LAB_LOCKS } from '#lab/workspace.ts'
import { withLock } from '#lab/lock.ts'
import { ensurePackages } from '#lab/packages.ts'

/**
 * The root directory of a Debian release with some packages, made once by mmdebstrap and kept in the cache. Nobody
 * writes to it: what runs there does so over an overlay, or in a bind mount.
 */
export async function debianRoot(release: string, packages: readonly string[]): Promise<string> {
  const name = `${release}-${createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 8)}`
  return await makeOnce(`${LAB_CACHE}/${name}`, async (directory) => {
    await debootstrap(release, packages, directory)
    // Names and certificates as the machine has them, for what goes out to the network from there.
    for (const file of ['etc/resolv.conf', 'etc/hosts', 'etc/ssl/certs/ca-certificates.crt'])
      if (existsSync(`/${file}`)) {
        rmSync(`${directory}/${file}`, { force: true })
        mkdirSync(`${directory}/${file.slice(0, file.lastIndexOf('/'))}`, { recursive: true })
        copyFileSync(`/${file}`, `${directory}/${file}`)
      }
  })
}

/** Let mmdebstrap make `target`: a directory, or a tar where the name ends in `.tar`. */
export async function debootstrap(release: string, packages: readonly string[], target: string): Promise<void> {
  await ensurePackages(['mmdebstrap', 'debian-archive-keyring', 'gpgv'])
  process.stderr.write(`Making a Debian ${release} root with ${packages.join(', ')} (once, about 25 s) …\n`)
  await mustRun('mmdebstrap', [
    '--quiet',
    '--variant=minbase',
    `--include=${packages.join(',')}`,
    // The stored release file of a mirror can be past its date.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--dpkgopt=path-exclude=/usr/share/doc/*',
    '--dpkgopt=path-exclude=/usr/share/man/*',
    '--dpkgopt=path-exclude=/usr/share/locale/*',
    release,
    target,
  ])
}

/** `path`, made by `make` if it is not there. A process that is killed, or another at the same time, never leaves half of it. */
export async function makeOnce(path: string, make: (temporary: string) => Promise<void>): Promise<string> {
  if (existsSync(path)) return path
  const name = path.slice(path.lastIndexOf('/') + 1)
  await withLock(`${LAB_LOCKS}/make-${name}`, async () => {
    if (existsSync(path)) return
    const parent = path.slice(0, -name.length)
    const temporary = `${parent}making-${name}`
    mkdirSync(parent, { recursive: true })
    rmSync(temporary, { recursive: true, force: true })
    await make(temporary)
    renameSync(temporary, path) // last: what has its name is whole
  })
  return path
}
