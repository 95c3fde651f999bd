import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Captured } from '#snapshot/result.ts'
import { startContainer } from '#lab/container.ts'
import type { Container } from '#lab/container.ts'
import { describeTree } from '#lab/describe-tree.ts'
import type { TreeEntry } from '#lab/describe-tree.ts'
import { labEngine, testedEngines, whyNoEngine } from '#lab/engine.ts'
import type { Engine } from '#lab/engine.ts'
import { mustRun } from '#lab/workspace.ts'

export type Tree = ReadonlyMap<string, TreeEntry>

/** What engines put into every container, whatever its image: no part of the image, so no judge looks there. */
const ENGINE_PATHS = 'dev proc sys run/.containerenv .dockerenv etc/hosts etc/hostname etc/resolv.conf etc/mtab'.split(
  ' ',
)

/** A container as the kernel shows it, without what is mounted into it and without `skipped` paths. */
export async function describeContainer({ pid }: Container, skipped: readonly string[] = []): Promise<Tree> {
  return await describe(`/proc/${pid}/root`, [...ENGINE_PATHS, ...mountPointsOf(pid), ...skipped])
}

/** The tree below a root, and the root itself as `.`, which describe-tree leaves out. */
async function describe(root: string, skipped: readonly string[]): Promise<Tree> {
  const tree = new Map(await describeTree(root, skipped))
  const { mode, uid, gid } = statSync(root)
  tree.set('.', { path: '.', kind: 'directory', mode: mode & 0o7777, uid, gid, mtime: 0 })
  // Engines make /etc/hosts and others, Podman /run/.containerenv, anew for each container: the time of their directory
  // is never the image's.
  for (const path of ['etc', 'run']) {
    const directory = tree.get(path)
    if (directory) tree.set(path, { ...directory, mtime: 0 })
  }
  return tree
}

function mountPointsOf(pid: number): readonly string[] {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n').filter(Boolean)
  const points = lines.map((line) => line.split(' ')[4] ?? '').map((path) => path.slice(1))
  return points.filter((path) => path !== '')
}

/** `tintype snapshot` as a user runs it. Throws with its words when it fails. */
export async function save(engine: Engine, container: Container, options: SaveOptions): Promise<Captured> {
  const { reference, home, args = [] } = options
  const stdout = await mustRun('bin/tintype', ['snapshot', container.id, reference, '--json', '--quiet', ...args], {
    env: { ...process.env, DOCKER_HOST: `unix://${engine.socketPath}`, TINTYPE_HOME: home },
  })
  return JSON.parse(stdout.toString()) as Captured
}

export interface SaveOptions {
  readonly reference: string
  readonly home: string
  readonly args?: readonly string[]
}

export interface Judged {
  /** By judge: umoci, the engine that had the container, and the other engines of this run. */
  readonly trees: ReadonlyMap<string, Tree>
  /** The image as an OCI layout, and the files of its layers there, base first. */
  readonly layers: readonly string[]
}

/**
 * What others make of an image in a registry: skopeo copies it and umoci unpacks it, every engine pulls and runs it.
 * `engine` must not have the image yet.
 */
export async function judge(engine: Engine, reference: string, directory: string): Promise<Judged> {
  const layout = mkdtempSync(join(directory, 'i'))
  await mustRun('skopeo', ['copy', '--quiet', '--src-tls-verify=false', `docker://${reference}`, `oci:${layout}:t`])
  const trees = new Map<string, Tree>()
  const byEngines = async () => {
    trees.set(engine.name, await describePulled(engine, reference))
    for (const name of testedEngines().filter((other) => other !== engine.name && !whyNoEngine(other))) {
      await using other = await labEngine(name)
      trees.set(name, await describePulled(other, reference))
    }
  }
  const byUmoci = async () => void trees.set('umoci', await describeUnpacked(layout, directory))
  await Promise.all([byUmoci(), byEngines()])
  const [podman, umoci] = [trees.get('podman'), trees.get('umoci')]
  if (podman && umoci) trees.set('podman', withoutOwn(podman, umoci))
  return { trees, layers: layerFiles(layout) }
}

/** Podman gives every container a root directory of its own, mode 555 of root, and makes `/run` where the image has none. */
function withoutOwn(podman: Tree, umoci: Tree): Tree {
  const tree = new Map(podman)
  const root = umoci.get('.')
  if (root) tree.set('.', root)
  if (!umoci.has('run')) tree.delete('run')
  return tree
}

async function describePulled(engine: Engine, reference: string): Promise<Tree> {
  await engine.docker(['pull', '--quiet', reference])
  try {
    await using container = await startContainer(engine, reference)
    return await describeContainer(container)
  } finally {
    await engine.docker(['rmi', '--force', reference])
  }
}

/** The image with the tag `t` in a layout, unpacked below `directory` and removed again. */
export async function describeUnpacked(layout: string, directory: string): Promise<Tree> {
  const bundle = mkdtempSync(join(directory, 'u'))
  await mustRun('umoci', ['unpack', '--image', `${layout}:t`, bundle])
  try {
    return await describe(join(bundle, 'rootfs'), ENGINE_PATHS)
  } finally {
    rmSync(bundle, { recursive: true })
  }
}

function layerFiles(layout: string): readonly string[] {
  const read = (path: string): unknown => JSON.parse(readFileSync(join(layout, path), 'utf8'))
  const blob = (digest: string) => join('blobs', digest.replace(':', '/'))
  const index = read('index.json') as { manifests: [{ digest: string }] }
  const manifest = read(blob(index.manifests[0].digest)) as { layers: readonly { digest: string }[] }
  return manifest.layers.map(({ digest }) => join(layout, blob(digest)))
}
