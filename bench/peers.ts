import { runProgram } from '#base/process.ts'
import { startContainer, type Container } from '#lab/container.ts'
import { labEngine, type Engine } from '#lab/engine.ts'
import { debianImage } from '#lab/images.ts'
import { addTree } from './grow.ts'
import { timed } from './commands.ts'
import type { Target } from './target.ts'

interface Committer {
  readonly engine: Engine
  readonly target: Target
}

/** `commit` and `push` of a container by its engine, as users do it without Tintype; the image is removed again. */
export async function timeOfCommit({ engine, target }: Committer, container: Container): Promise<number> {
  const image = `${target.repository}:committed`
  try {
    return await timed(async () => {
      await engine.docker(['commit', container.id, image])
      await engine.docker(['push', '--quiet', image])
    })
  } finally {
    const [program, ...before] = engine.command
    await runProgram(program, [...before, 'rmi', '--force', image], { env: engine.env })
  }
}

export interface PeerReport {
  /** A sentence for each program that could be compared with. */
  readonly notes: readonly string[]
  /** `podman commit && podman push`; empty where there is no Podman. */
  readonly podmanMs: readonly number[]
}

/** Why a program is not compared with, where it is installed. */
const NOT_COMPARED: Readonly<Record<string, string>> = {
  buildah: 'installed, and not compared: it commits working containers of its own, which do not run',
  nerdctl: 'installed, and not compared: it commits containers of a containerd of its own',
}

/** The other engines of this machine, each on a container of its own with the same tree. */
export async function measurePeers(target: Target, files: number, runs: number): Promise<PeerReport> {
  const notes: string[] = []
  for (const [program, why] of Object.entries(NOT_COMPARED))
    notes.push(`${program}: ${(await isInstalled(program)) ? why : 'not installed'}`)
  if (!(await isInstalled('podman'))) return { notes: ['podman: not installed', ...notes], podmanMs: [] }
  await using engine = await labEngine('podman')
  await using container = await startContainer(engine, await debianImage(engine))
  await addTree(container, files)
  const podmanMs: number[] = []
  for (let run = 1; run <= runs; run++) {
    await target.reset()
    podmanMs.push(await timeOfCommit({ engine, target }, container))
  }
  return {
    notes: [`podman: ${await versionOf(engine)}, on a container of its own with the same tree`, ...notes],
    podmanMs,
  }
}

async function isInstalled(program: string): Promise<boolean> {
  return (await runProgram('sh', ['-c', 'command -v "$1"', 'sh', program])).exitCode === 0
}

async function versionOf(engine: Engine): Promise<string> {
  return await engine.docker(['version', '--format', '{{.Server.Version}}'])
}
