import { readFileSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import { runProgram, type RunOptions, type RunResult } from '#base/process.ts'
import type { Engine } from '#lab/engine.ts'

export interface ContainerOptions {
  /** Default: sleep for ever. */
  readonly command?: readonly string[]
  /** More arguments of `docker run`: `-v`, `--name`, … */
  readonly args?: readonly string[]
}

export interface Container extends AsyncDisposable {
  readonly id: string
  /** Of its first process, on the host. */
  readonly pid: number
  /** Run a command in it as root: what it prints. Throws `internal` with its words when it fails. */
  exec(args: readonly string[], options?: RunOptions): Promise<string>
  /** The same, with the exit code and bytes as they are. */
  execResult(args: readonly string[], options?: RunOptions): Promise<RunResult>
  pause(): Promise<void>
  unpause(): Promise<void>
  remove(): Promise<void>
}

/** Podman's defaults ask for more than a root without CAP_SYS_RESOURCE may give. */
const PODMAN_LIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096']

/** Start a container without network from an image that the engine has. It is removed when disposed. */
export async function startContainer(
  engine: Engine,
  image: string,
  options: ContainerOptions = {},
): Promise<Container> {
  const { command = ['sleep', 'infinity'], args = [] } = options
  const limits = engine.name === 'podman' ? PODMAN_LIMITS : []
  const id = await engine.docker(['run', '--detach', '--network', 'none', ...limits, ...args, image, ...command])
  const [running, pid] = (await engine.docker(['inspect', '--format', '{{.State.Running}} {{.State.Pid}}', id])).split(
    ' ',
  )
  if (running !== 'true') {
    const logs = await engine.docker(['logs', id])
    await engine.docker(['rm', '--force', id])
    throw new AppError('internal', `The container of ${image} ended at once: ${logs}`)
  }
  const execResult = (inside: readonly string[], run: RunOptions = {}) => {
    const [program, ...before] = engine.command
    return runProgram(program, [...before, 'exec', '--interactive', id, ...inside], { env: engine.env, ...run })
  }
  const remove = async () => void (await engine.docker(['rm', '--force', '--volumes', id]))
  return {
    id,
    pid: Number(pid),
    exec: async (inside, run) => await engine.docker(['exec', '--interactive', id, ...inside], run),
    execResult,
    pause: async () => void (await engine.docker(['pause', id])),
    unpause: async () => void (await engine.docker(['unpause', id])),
    remove,
    [Symbol.asyncDispose]: remove,
  }
}

/** The directory on the host that holds what a container has changed, as the kernel tells it. */
export function upperdirOf(pid: number): string {
  const root = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[4] === '/')
  const upperdir = /[ ,]upperdir=([^, ]+)/.exec(root ?? '')?.[1]
  if (upperdir === undefined)
    throw new AppError('overlay_unsupported', `The root of process ${pid} is no overlay: ${root}`)
  return upperdir
}
