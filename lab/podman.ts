import { mkdirSync, writeFileSync } from 'node:fs'
import { engineAt, ping, removeContainers, type Engine } from '#lab/engine.ts'
import { ensurePackages } from '#lab/packages.ts'
import { clearWorkspace, startDaemon, type Workspace } from '#lab/workspace.ts'

/** Debian 12's Podman, rootful, over its Docker-compatible socket, with storage of its own. */
export async function startPodman(workspace: Workspace): Promise<Engine> {
  await ensurePackages(['podman', 'runc', 'docker.io'])
  const { directory } = workspace
  const socketPath = `${directory}/podman.sock`
  const root = `${directory}/storage`
  mkdirSync(`${directory}/networks`)
  // A prefix without a port stands for every port: registries on loopback come and go.
  writeFileSync(`${directory}/registries.conf`, '[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n')
  const where = ['--root', root, '--runroot', `${directory}/run`, '--tmpdir', `${directory}/tmp`]
  // crun refuses machines that have cgroup v1 and v2 side by side.
  const how = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--storage-driver', 'overlay']
  await startDaemon(workspace, {
    name: 'podman',
    program: 'podman',
    args: [
      ...where,
      ...how,
      '--events-backend',
      'file',
      '--network-config-dir',
      `${directory}/networks`,
      'system',
      'service',
      '--time',
      '0',
      `unix://${socketPath}`,
    ],
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: directory,
      CONTAINERS_REGISTRIES_CONF: `${directory}/registries.conf`,
    },
    isReady: () => ping(socketPath),
  })
  const engine = engineAt({ name: 'podman', socketPath, root, directory }, async () => {
    await removeContainers(engine)
    await clearWorkspace(workspace)
  })
  return engine
}
