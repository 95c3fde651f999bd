import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import { runProgram } from '#base/process.ts'
import { withLock } from '#lab/lock.ts'
import { LAB_LOCKS, mustRun } from '#lab/workspace.ts'

/** Asked before a package starts a service: 101 is "do not". An install for a test must not start daemons on the host. */
const POLICY = '/usr/sbin/policy-rc.d'

/** Those of `names` that dpkg does not have installed. */
export async function missingPackages(names: readonly string[]): Promise<readonly string[]> {
  const asked = await runProgram('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n', ...names])
  const installed = new Set(
    asked.stdout
      .toString()
      .split('\n')
      .flatMap((line) => (line.endsWith(' installed') ? [line.slice(0, line.indexOf(' '))] : [])),
  )
  return names.filter((name) => !installed.has(name))
}

/**
 * Install what is missing of `names`, in one call of apt, and say so on stderr. Nothing is removed for it and no
 * service is started. Throws `permission_denied` without root, `internal` with apt's words when it fails.
 */
export async function ensurePackages(names: readonly string[]): Promise<void> {
  if ((await missingPackages(names)).length === 0) return
  await withApt(async () => {
    const missing = await missingPackages(names) // another process may have been quicker
    if (missing.length > 0) await install(missing)
  })
}

/** Work with apt while no other process of ours does: apt waits for dpkg's lock, and not for that of its lists. */
export async function withApt(work: () => Promise<void>): Promise<void> {
  await withLock(`${LAB_LOCKS}/apt`, work)
}

async function install(names: readonly string[]): Promise<void> {
  const command = `apt-get install ${names.join(' ')}`
  if (process.getuid?.() !== 0)
    throw new AppError('permission_denied', `${names.join(', ')} must be installed: run as root, or '${command}'.`)
  process.stderr.write(`Installing with apt: ${names.join(', ')} …\n`)
  const isOurPolicy = !existsSync(POLICY)
  if (isOurPolicy) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  const apt = ['-o', 'DPkg::Lock::Timeout=300', '-qq']
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }
  try {
    // An update that fails in part (a third repository that is down) may still know the package: the install tells.
    await runProgram('apt-get', [...apt, 'update'], { env })
    // --no-remove: docker.io beside docker-ce, say, would push out the user's engine.
    await mustRun('apt-get', [...apt, 'install', '-y', '--no-remove', '--no-install-recommends', ...names], { env })
  } finally {
    if (isOurPolicy) rmSync(POLICY, { force: true })
  }
}
