import { createInterface } from 'node:readline'
import { createHash } from 'node:crypto'
import { AppError, toAppError } from '#base/errors.ts'
import { AT_FDCWD, cString, statxAt } from '#posix/libc.ts'
import { copyStat, STAT, STAT_WORDS } from '#posix/stat.ts'
import { INDEX_DESCRIPTOR, type ReaderCommand, type ReaderEvent, type ReaderInit } from '#snapshot/protocol.ts'
import { loadRows } from './index-body.ts'
import {
  enterJail,
  proveJail,
  requireOverlayAttributes,
  requireOwnDescriptors,
  requireRights,
  sealModules,
} from './jail.ts'
import { WorkerThread } from './pool.ts'
import { allocateMostRows, FLAG, Rows } from './rows.ts'
import { ReaderSession } from './session.ts'
import { allocateQueue, WorkQueue } from './work-queue.ts'

/**
 * The jailed reader: a process of its own, `reader JAIL-DIRECTORY WORKER-MODULE`, that touches the container's bytes and
 * nothing else. It loads everything, starts its threads, and then shuts itself in (design.md §4.2, attacks.md A3 to A5).
 */
const [, , jailDirectory = '', workerModule = ''] = process.argv

function emit(event: ReaderEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

async function start(init: ReaderInit): Promise<ReaderSession> {
  const rows = new Rows(allocateMostRows(init.capacity))
  const queueBuffers = allocateQueue(rows.buffers.capacity)
  const { codec, overlayPrefix, uidMap, gidMap } = init
  const spoolEnd = new SharedArrayBuffer(8)
  const workerInit = { rows: rows.buffers, queue: queueBuffers, spoolEnd, codec, overlayPrefix, uidMap, gidMap }
  const workers = Array.from({ length: init.workers }, () => new WorkerThread(new URL(workerModule), workerInit))
  await Promise.all(workers.map((worker) => worker.next()))
  createHash('sha256').update('used once before the jail is shut').digest('hex')

  requireRights()
  requireOverlayAttributes(init.probePath)
  requireOwnDescriptors()
  enterJail(jailDirectory)
  await proveJail(init.root)
  sealModules()
  await Promise.all(workers.map((worker) => worker.ask({ type: 'seal', root: init.root }, 'sealed')))

  const root = lookAtRoot()
  if (init.index) {
    loadRows(rows, INDEX_DESCRIPTOR, init.index)
    rows.moveToDevice(root[STAT.dev] ?? 0)
  } else addRoot(rows, root)
  return new ReaderSession({ init, rows, queue: new WorkQueue(queueBuffers), workers, emit })
}

/** The stat of the upperdir, as a row has it. */
function lookAtRoot(): Uint32Array {
  const statx = new Uint32Array(64)
  if (statxAt(AT_FDCWD, cString('.'), statx) < 0)
    throw new AppError('reader_failed', 'The writable layer cannot be read.')
  const stat = new Uint32Array(STAT_WORDS)
  copyStat(statx, stat, 0)
  return stat
}

function addRoot(rows: Rows, stat: Uint32Array): void {
  const root = rows.allocate(1)
  rows.setName(root, '')
  rows.words.set(stat, rows.stat(root))
  rows.setFlags(root, FLAG.changed)
}

async function main(): Promise<void> {
  let session: ReaderSession | undefined
  for await (const line of createInterface({ input: process.stdin })) {
    if (session) await session.run(JSON.parse(line) as ReaderCommand)
    else {
      session = await start(JSON.parse(line) as ReaderInit)
      emit({ event: 'ready' })
    }
  }
}

main().then(
  () => process.exit(0),
  (cause: unknown) => {
    const { code, message, details } = toAppError(cause)
    emit({ event: 'failed', code, message, details })
    process.exit(1)
  },
)
