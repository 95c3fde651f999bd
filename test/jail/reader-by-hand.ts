import { spawn, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { setXattr } from '#posix/libc.ts'
import type { ReaderInit } from '#snapshot/protocol.ts'
import { PROBE_ATTRIBUTE } from '#snapshot/reader/jail.ts'

export interface HandOptions {
  readonly init?: Partial<ReaderInit>
  /** Put before the command: `setpriv …`. */
  readonly launcher?: readonly string[]
  readonly hasProbeAttribute?: boolean
  /** A path that the reader inherits an open descriptor of. */
  readonly inherited?: string
}

export interface HandResult {
  readonly events: readonly { readonly event: string; readonly message?: string; readonly code?: string }[]
  readonly exitCode: number | null
}

const FEW_RIGHTS = ['dac_read_search', 'sys_admin', 'sys_chroot', 'fowner']

/** What starts a program with these rights and no more. */
export function withRights(rights: readonly string[] = FEW_RIGHTS): readonly string[] {
  return ['setpriv', '--inh-caps=-all', `--bounding-set=-all,${rights.map((right) => `+${right}`).join(',')}`, '--']
}

export const withoutRight = (missing: string) => withRights(FEW_RIGHTS.filter((right) => right !== missing))

/** The reader as no capture starts it, with one line of input: what it says, and how it ends. */
export async function startByHand(options: HandOptions = {}): Promise<HandResult> {
  const directory = mkdtempSync(join(tmpdir(), 'reader-by-hand-'))
  const jail = join(directory, 'jail')
  mkdirSync(jail)
  const probePath = join(directory, 'probe')
  writeFileSync(probePath, '')
  const probe = openSync(probePath, 'r+')
  if (options.hasProbeAttribute ?? true) setXattr(probe, PROBE_ATTRIBUTE, Uint8Array.of(1))
  closeSync(probe)
  const opened = ['frames', 'tail', 'index', 'next-index'].map((name) => openSync(join(directory, name), 'w+'))
  if (options.inherited !== undefined) opened.push(openSync(options.inherited, 'r'))
  const { dev, ino } = statSync(jail)
  const init: ReaderInit = {
    root: { dev, ino },
    probePath,
    workers: 1,
    codec: { name: 'none', level: 0 },
    capacity: 1000,
    exclusions: [],
    stubs: [],
    overlayPrefix: 'trusted.overlay.',
    uidMap: [],
    gidMap: [],
    ...options.init,
  }
  const reader = [process.execPath, 'dist/reader.mjs', jail, pathToFileURL('dist/reader-worker.mjs').href]
  const [program = '', ...args] = [...(options.launcher ?? withRights()), ...reader]
  const stdio: StdioOptions = ['pipe', 'pipe', 'ignore', ...opened]
  const child = spawn(program, args, { stdio })
  let out = ''
  child.stdout!.on('data', (chunk) => (out += chunk))
  child.stdin!.on('error', () => {}) // it may end before it has read
  child.stdin!.end(`${JSON.stringify(init)}\n`)
  const [exitCode] = (await once(child, 'close')) as [number | null]
  for (const descriptor of opened) closeSync(descriptor)
  rmSync(directory, { recursive: true })
  const events = out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as HandResult['events'][number])
  return { events, exitCode }
}
