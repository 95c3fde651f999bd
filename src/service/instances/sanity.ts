import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { AppError, toAppError } from '#base/errors.ts'
import type { InstanceRecord } from '#store/instance-record.ts'
import { findVisible } from './find.ts'
import type { InstanceParts, Viewer } from './parts.ts'

export interface CheckDetail {
  readonly name: string
  readonly description: string
  readonly isPassed: boolean
  readonly reason: string
}

export interface SanityCheck {
  readonly taskId: string
  readonly instanceId: string
  readonly status: 'Executing' | 'Finished' | 'Failed'
  readonly startMs: number
  readonly endMs: number | null
  readonly details: readonly CheckDetail[]
}

const SSH_PORT = 22
const CONNECT_MS = 2_000
/** A check that takes longer was lost with its server. */
const LOST_MS = 60_000

/** Begin to check whether the instance can be reached by SSH; the outcome is there a few seconds later. Its id. */
export async function createSanityCheck(parts: InstanceParts, instanceId: string, viewer: Viewer): Promise<string> {
  const record = await findVisible(parts.store, instanceId, viewer)
  const taskId = randomUUID()
  const row = { taskId, instanceId, checkType: 'SSH', status: 'Executing', endMs: null, details: '[]' }
  await parts.store.sanityChecks.insert({ ...row, startMs: parts.clock.wallMs() })
  void finish(parts, record, taskId)
  return taskId
}

/** The row of a check, whoever asks. Throws `instance_resource_not_found`. */
export async function findSanityCheck({ store }: Pick<InstanceParts, 'store'>, taskId: string) {
  const row = await store.sanityChecks.find(taskId)
  if (row) return row
  throw new AppError('instance_resource_not_found', `There is no check ${JSON.stringify(taskId)}.`)
}

/** Throws `instance_resource_not_found`. */
export async function getSanityCheck(parts: InstanceParts, taskId: string, viewer: Viewer): Promise<SanityCheck> {
  const row = await findSanityCheck(parts, taskId)
  await findVisible(parts.store, row.instanceId, viewer)
  const isLost = row.status === 'Executing' && parts.clock.wallMs() - row.startMs > LOST_MS
  return { ...row, status: isLost ? 'Failed' : parseStatus(row.status), details: parseDetails(row.details) }
}

async function finish({ store, clock, log }: InstanceParts, record: InstanceRecord, taskId: string): Promise<void> {
  try {
    const details = JSON.stringify(await sshDetails(record))
    await store.sanityChecks.finish(taskId, { status: 'Finished', endMs: clock.wallMs(), details })
  } catch (error) {
    log('A check of an instance failed.', { instanceId: record.instanceId, error: toAppError(error).message })
  }
}

async function sshDetails({ status, spec }: InstanceRecord): Promise<readonly CheckDetail[]> {
  const isRunning = status === 'Running'
  const running: CheckDetail = {
    name: 'instanceRunning',
    description: 'Check whether the instance is running',
    isPassed: isRunning,
    reason: isRunning ? '' : `The instance is ${status}: start it.`,
  }
  if (!isRunning) return [running]
  const isOpen = spec.address !== undefined && (await canConnect(spec.address, SSH_PORT))
  const description = `Check whether something listens on port ${SSH_PORT} of the instance`
  const reason = isOpen ? '' : `Nothing answers on port ${SSH_PORT}: install and start an SSH server in the instance.`
  return [running, { name: 'sshPortCheck', description, isPassed: isOpen, reason }]
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS })
    const end = (isOpen: boolean) => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => end(true))
    socket.once('timeout', () => end(false))
    socket.once('error', () => end(false))
  })
}

const parseStatus = (status: string) => status as SanityCheck['status']
const parseDetails = (details: string) => JSON.parse(details) as readonly CheckDetail[]
