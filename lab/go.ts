import { createHash } from 'node:crypto'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { AppError } from '#base/errors.ts'
import { runProgram } from '#base/process.ts'
import { debianRoot, makeOnce } from '#lab/debian-root.ts'
import { mustRun } from '#lab/workspace.ts'

/** What the modules below ask for in their go.mod; Debian 12's own Go is 1.19. */
const GO_NEEDED = [1, 24] as const
/** In the checkout, and ignored by git. */
const GO_CACHE = '.cache/go'

/**
 * A Go program from the module proxy, built once into the checkout's cache: `module/path@version` → its path.
 * The machine's Go builds it where that is recent enough, else one from a newer Debian.
 */
export async function goBinary(module: string): Promise<string> {
  const name = module.replace(/[^\w.-]+/g, '-')
  return await makeOnce(`${cacheDirectory()}/${name}`, async (temporary) => {
    process.stderr.write(`Building ${module} (once) …\n`)
    const output = newDirectory(`${temporary}-bin`)
    await runGo(['install', module], { GOBIN: output })
    const program = module.replace(/@.*/, '').split('/').at(-1)!
    if (!existsSync(`${output}/${program}`)) throw new AppError('internal', `Go built no ${program} of ${module}.`)
    renameSync(`${output}/${program}`, temporary)
    rmSync(output, { recursive: true })
  })
}

/**
 * The Go program of a directory of the checkout, with its go.mod and go.sum, built once for what is written there: its
 * path. What it needs comes from the module proxy.
 */
export async function goProgram(directory: string): Promise<string> {
  const hash = createHash('sha256')
  for (const file of globSync('*', { cwd: directory }).toSorted()) hash.update(readFileSync(`${directory}/${file}`))
  const name = `${directory.replace(/[^\w.-]+/g, '-')}-${hash.digest('hex').slice(0, 16)}`
  return await makeOnce(`${cacheDirectory()}/${name}`, async (temporary) => {
    process.stderr.write(`Building ${directory} (once) …\n`)
    // In the cache, which a root of another Debian sees, too.
    const sources = newDirectory(`${temporary}-sources`)
    cpSync(directory, sources, { recursive: true })
    await runGo(['build', '-C', sources, '-o', temporary, '.'])
    rmSync(sources, { recursive: true })
  })
}

function cacheDirectory(): string {
  return `${process.cwd()}/${GO_CACHE}`
}

function newDirectory(path: string): string {
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path, { recursive: true })
  return path
}

async function runGo(args: readonly string[], more: NodeJS.ProcessEnv = {}): Promise<void> {
  const cache = cacheDirectory()
  const env = {
    ...process.env,
    CGO_ENABLED: '0', // no C library: it runs on a machine that has another than the builder
    GOCACHE: `${cache}/build`,
    GOMODCACHE: `${cache}/modules`,
    GOFLAGS: '-modcacherw',
    ...more,
  }
  if (await hasRecentGo()) {
    await mustRun('go', args, { env })
    return
  }
  const root = await debianRoot('forky', ['golang-go', 'ca-certificates'])
  // A mount namespace of its own: the mounts are gone when the build is.
  const script = 'root=$1 cache=$2; shift 2; mkdir -p "$root$cache"; mount --bind "$cache" "$root$cache"\n'.concat(
    'mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; exec chroot "$root" "$@"',
  )
  await mustRun('unshare', ['--mount', 'sh', '-euc', script, 'sh', root, cache, 'go', ...args], {
    env: { ...env, HOME: '/root', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  })
}

async function hasRecentGo(): Promise<boolean> {
  const asked = await runProgram('sh', ['-c', 'go version'])
  const version = /go(\d+)\.(\d+)/.exec(asked.stdout.toString())
  if (asked.exitCode !== 0 || !version) return false
  const [major, minor] = [Number(version[1]), Number(version[2])]
  return major > GO_NEEDED[0] || (major === GO_NEEDED[0] && minor >= GO_NEEDED[1])
}
