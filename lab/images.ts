import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, rmSync, mkdirSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { basename } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { pack, type Header, type Pack } from 'tar-stream'
import { AppError } from '#base/errors.ts'
import { runProgram } from '#base/process.ts'
import { debootstrap, makeOnce } from '#lab/debian-root.ts'
import type { Engine } from '#lab/engine.ts'
import { ensurePackages, withApt } from '#lab/packages.ts'
import { withLock } from '#lab/lock.ts'
import { LAB_CACHE, LAB_LOCKS, mustRun } from '#lab/workspace.ts'

const MTIME = new Date('2024-02-29T12:34:56Z')
const PATH_LINE = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What `debianImage` makes. */
export const DEBIAN_IMAGE = 'tintype-lab/debian:python3'

export interface BusyboxOptions {
  /** Makes the content, and so the chain ID, another one: engines do not unpack again what they know. */
  readonly unique?: string
}

/**
 * A tiny image, the same bytes each time: busybox, `/etc/passwd`, and things to delete, overwrite and compare below
 * `/base`. Returns its name in the engine.
 */
export async function busyboxImage(engine: Engine, options: BusyboxOptions = {}): Promise<string> {
  const { unique = '' } = options
  const busybox = readFileSync(await busyboxBinary())
  const tag = createHash('sha256').update(busybox).update(unique).digest('hex').slice(0, 12)
  const name = `tintype-lab/busybox:${tag}`
  return await makeImage(engine, name, () => importTar(engine, busyboxTar(busybox, unique), name))
}

/**
 * Have an image made where the engine has none of that name; returns the name. An import is another image each time, so
 * two at once would take the name from the one that a container has just been started from.
 */
async function makeImage(engine: Engine, name: string, make: () => Promise<void>): Promise<string> {
  if (await hasImage(engine, name)) return name
  const lock = `${LAB_LOCKS}/image-${basename(engine.directory)}-${name.replaceAll('/', '-')}`
  await withLock(lock, async () => {
    if (!(await hasImage(engine, name))) await make()
  })
  return name
}

/** Debian's static busybox, taken out of its package: installing it would push out the other busybox. */
async function busyboxBinary(): Promise<string> {
  return await makeOnce(`${LAB_CACHE}/busybox`, async (temporary) => {
    const directory = `${temporary}-package`
    rmSync(directory, { recursive: true, force: true })
    mkdirSync(directory, { recursive: true })
    const download = ['-qq', 'download', 'busybox-static']
    await withApt(async () => {
      if ((await runProgram('apt-get', download, { cwd: directory })).exitCode === 0) return
      await mustRun('apt-get', ['-qq', 'update'])
      await mustRun('apt-get', download, { cwd: directory })
    })
    await mustRun('sh', ['-c', 'dpkg-deb -x *.deb out'], { cwd: directory })
    await mustRun('cp', [`${directory}/out/bin/busybox`, temporary])
    rmSync(directory, { recursive: true })
  })
}

/** What `busybox --list` names as its programs, for links in /bin. */
const APPLETS =
  'ash awk base64 basename cat chmod chown cp cut date dd df diff dirname du echo env expr false find fsync grep gunzip gzip head hexdump hostname id kill ln ls md5sum mkdir mkfifo mknod mktemp mv od printf ps pwd readlink realpath rm rmdir sed seq sh sha256sum sleep sort stat sync tail tar tee test touch tr true truncate uname usleep wc which xargs yes'.split(
    ' ',
  )

function busyboxTar(busybox: Buffer, unique: string): AsyncIterable<Uint8Array> {
  const tar = pack()
  const add = (name: string, header: Partial<Header>, body: string | Buffer = '') =>
    tar.entry({ name, mtime: MTIME, uid: 0, gid: 0, uname: '', gname: '', ...header }, body as string)
  const directory = (name: string, mode = 0o755) => add(`${name}/`, { type: 'directory', mode })
  const file = (name: string, text: string, header: Partial<Header> = {}) => add(name, { mode: 0o644, ...header }, text)
  for (const name of ['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'usr', 'usr/bin', 'var']) directory(name)
  directory('tmp', 0o1777)
  add('bin/busybox', { mode: 0o755 }, busybox)
  for (const applet of APPLETS) add(`bin/${applet}`, { type: 'symlink', linkname: 'busybox', mode: 0o777 })
  file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n')
  file('etc/group', 'root:x:0:\nada:x:1000:\n')
  directory('home')
  add('home/ada/', { type: 'directory', mode: 0o700, uid: 1000, gid: 1000 })
  directory('base')
  file('base/file', 'from the base image\n')
  file('base/other', 'also from the base image\n')
  file('base/setuid', '#!/bin/sh\n', { mode: 0o4755 })
  file('base/owned', 'of Ada\n', { uid: 1000, gid: 1000, mode: 0o640 })
  file('base/linked', 'one file, two names\n')
  add('base/linked-too', { type: 'link', linkname: 'base/linked', mode: 0o644 })
  add('base/symlink', { type: 'symlink', linkname: 'file', mode: 0o777 })
  for (const name of ['base/dir', 'base/dir/sub', 'base/dir/sub/deep', 'base/empty']) directory(name)
  for (const name of ['a', 'b', 'sub/c', 'sub/deep/d']) file(`base/dir/${name}`, `${name} of the base image\n`)
  directory('base/secret', 0o700)
  file('base/secret/key', 'not for everyone\n', { mode: 0o600 })
  if (unique !== '') file('base/unique', `${unique}\n`)
  return finished(tar)
}

/** The bytes of a tar to which nothing more is added. It can be iterated, which its types do not say. */
function finished(tar: Pack): AsyncIterable<Uint8Array> {
  tar.finalize()
  return tar as unknown as AsyncIterable<Uint8Array>
}

/** Debian with Python, `venv` included, made once by mmdebstrap and kept as a tar. Returns its name in the engine. */
export async function debianImage(engine: Engine): Promise<string> {
  const make = async () => importTar(engine, createReadStream(await debianTar()), DEBIAN_IMAGE)
  return await makeImage(engine, DEBIAN_IMAGE, make)
}

/** Where `debianTar` keeps what it makes. */
export function debianTarPath(): string {
  return `${LAB_CACHE}/debian-python3.tar`
}

/** The tar of a small Debian 12 with Python and the tools that set file capabilities. */
export async function debianTar(): Promise<string> {
  return await makeOnce(debianTarPath(), async (temporary) => {
    const tar = `${temporary}.unfinished.tar` // mmdebstrap goes by the end of the name
    await debootstrap('bookworm', ['python3', 'python3-venv', 'libcap2-bin', 'attr'], tar)
    await mustRun('mv', [tar, temporary])
  })
}

/** An image of `layers` layers on busybox: layer N holds `/layers/N`, and overwrites `/layers/last`. Returns its name. */
export async function multiLayerImage(engine: Engine, layers: number, options: BusyboxOptions = {}): Promise<string> {
  const base = await busyboxImage(engine, options)
  const name = `tintype-lab/layers-${layers}:${base.slice(base.indexOf(':') + 1)}`
  return await makeImage(engine, name, () => buildLayers(engine, { base, name, layers }))
}

interface LayersToBuild {
  readonly base: string
  readonly name: string
  readonly layers: number
}

async function buildLayers(engine: Engine, { base, name, layers }: LayersToBuild): Promise<void> {
  const context = pack()
  const lines = [`FROM ${base}`]
  for (let number = 1; number < layers; number++) {
    context.entry({ name: `${number}/${number}`, mtime: MTIME }, `layer ${number}\n`)
    context.entry({ name: `${number}/last`, mtime: MTIME }, `${number}\n`)
    lines.push(`COPY ${number}/ /layers/`)
  }
  context.entry({ name: 'Dockerfile' }, lines.join('\n'))
  await dockerFrom(engine, ['build', '--quiet', '--tag', name, '-'], finished(context))
}

export async function hasImage(engine: Engine, name: string): Promise<boolean> {
  const [program, ...before] = engine.command
  const asked = await runProgram(program, [...before, 'image', 'inspect', name], { env: engine.env })
  return asked.exitCode === 0
}

/** `docker import` of a root file system: an image of one layer. */
export async function importTar(engine: Engine, tar: AsyncIterable<Uint8Array>, name: string): Promise<void> {
  await dockerFrom(engine, ['import', '--change', PATH_LINE, '--change', 'CMD ["/bin/sh"]', '-', name], tar)
}

/** `docker ARGS`, with a stream as its input. */
async function dockerFrom(engine: Engine, args: readonly string[], input: AsyncIterable<Uint8Array>): Promise<void> {
  await ensurePackages(['docker.io'])
  const [program, ...before] = engine.command
  const child = spawn(program, [...before, ...args], { stdio: ['pipe', 'ignore', 'pipe'], env: engine.env })
  const said: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
  const ended = once(child, 'close')
  const sent = pipeline(input, child.stdin).catch((error: unknown) => error)
  const [exitCode] = (await ended) as [number | null]
  const problem = await sent
  if (exitCode !== 0 || problem !== undefined)
    throw new AppError(
      'internal',
      `docker ${args.join(' ')} failed: ${Buffer.concat(said).toString()} ${problem ?? ''}`,
    )
}
