/** Instances of a server on a real engine, and what must be true of them whatever became of the server. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { findFreezerCgroup, readCgroupState } from '#freezer/cgroup.ts'
import { RECORD_HOME, recordPath } from '#freezer/record.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import type { Registry } from '#lab/registry.ts'
import type { TestServer } from '#lab/server.ts'
import { signedClient, type Answer, type CallOptions } from '#lab/signed-client.ts'
import { assertEnded, familyOf, type Identity } from '../freeze/subject.ts'

export type Call = (line: string, options?: CallOptions) => Promise<Answer>

export interface World {
  readonly engine: Engine
  readonly registry: Registry
  readonly server: TestServer
}

export interface Instance {
  readonly instanceId: string
  readonly containerId: string
  /** Of its first process. */
  readonly pid: number
  readonly cgroup: string
  /** What the names of the records of its freezes begin with. */
  readonly recordName: string
}

export interface Snapshot {
  readonly snapshotId: string
  readonly imageUrl: string
  readonly status: string
  readonly reasonCode: string
  readonly reasonMessage: string
}

/** As the server's account. */
export const callerOf = ({ url, rootKey }: TestServer): Call => signedClient(url, rootKey)

export async function ok(call: Call, line: string, options: CallOptions = {}): Promise<Record<string, unknown>> {
  const answer = await call(line, options)
  assert.equal(answer.status, 200, `${line}: ${answer.text}`)
  return answer.json
}

/** Ask until `isSo`. Throws with what was seen last. */
export async function until<T>(ask: () => Promise<T>, isSo: (value: T) => boolean, limitMs: number): Promise<T> {
  const startedMs = performance.now()
  for (;;) {
    const value = await ask()
    if (isSo(value)) return value
    assert.ok(performance.now() - startedMs < limitMs, `after ${limitMs} ms still ${JSON.stringify(value)}`)
    await wait(50)
  }
}

const STARTS_MS = 120_000

/** Running instances of busybox, with `fileCount` files of 20 kB that no compressor makes smaller. */
export async function createInstances({ engine, server }: World, names: readonly string[], fileCount: number) {
  const ImageUrl = await busyboxImage(engine)
  const fill = `mkdir /data; for i in $(seq ${fileCount}); do head -c 20000 /dev/urandom > /data/$i; done; touch /filled`
  const body = { EcsSpec: 'ecs.n4.small', ImageUrl, UserCommand: { OnStart: { Content: fill } } }
  const call = callerOf(server)
  const instances: Instance[] = []
  const ids: string[] = []
  for (const InstanceName of names) {
    const { InstanceId } = await ok(call, 'POST /api/v2/instances', { body: { ...body, InstanceName } })
    ids.push(String(InstanceId))
  }
  for (const instanceId of ids) {
    await until(() => ok(call, `GET /api/v2/instances/${instanceId}`), isRunning, STARTS_MS)
    instances.push(await lookAt(engine, instanceId))
  }
  for (const { containerId } of instances)
    await until(() => engine.docker(['exec', containerId, 'sh', '-c', 'ls /filled || true']), Boolean, STARTS_MS)
  return instances
}

const isRunning = ({ Status }: Record<string, unknown>) => Status === 'Running'

async function lookAt(engine: Engine, instanceId: string): Promise<Instance> {
  const label = `label=io.tintype.instance=${instanceId}`
  const containerId = await engine.docker(['ps', '--quiet', '--no-trunc', '--filter', label])
  const pid = Number(await engine.docker(['inspect', '--format', '{{.State.Pid}}', containerId]))
  const cgroup = findFreezerCgroup(pid, containerId)!
  const freezer = { kind: 'engine', socketPath: engine.socketPath, containerId, cgroup } as const
  const recordName = basename(recordPath(RECORD_HOME, freezer, { pid: 0, startTime: '' })).replace(/0\.json$/, '')
  return { instanceId, containerId, pid, cgroup, recordName }
}

/** Put new bytes into an instance; what `checkSaved` then finds in an image of it. */
export async function change(engine: Engine, { containerId }: Instance): Promise<string> {
  const command = 'dd if=/dev/urandom of=/data/now bs=100000 count=30 conv=fsync 2> /dev/null; sha256sum /data/now'
  return await engine.docker(['exec', containerId, 'sh', '-c', command])
}

/** All snapshots of an instance, from the oldest. */
export async function snapshotsOf(call: Call, { instanceId }: Instance): Promise<readonly Snapshot[]> {
  const { Snapshots } = await ok(call, `GET /api/v2/instances/${instanceId}/snapshots`, {
    query: 'Order=ASC&PageSize=100',
  })
  return (Snapshots as Record<string, string>[]).map((snapshot) => ({
    snapshotId: snapshot['SnapshotId']!,
    imageUrl: snapshot['ImageUrl']!,
    status: snapshot['Status']!,
    reasonCode: snapshot['ReasonCode'] ?? '',
    reasonMessage: snapshot['ReasonMessage'] ?? '',
  }))
}

/** Until all snapshots of an instance have ended. Throws unless those that failed say why. */
export async function ended(call: Call, instance: Instance, limitMs: number): Promise<readonly Snapshot[]> {
  const isOver = ({ status }: Snapshot) => status === 'Saved' || status === 'Failed'
  const all = await until(
    () => snapshotsOf(call, instance),
    (snapshots) => snapshots.every(isOver),
    limitMs,
  )
  for (const { status, reasonCode, reasonMessage } of all)
    assert.ok(status === 'Saved' || (reasonCode !== '' && reasonMessage !== ''), 'a failure has a reason')
  return all
}

const RUNS_AGAIN_MS = 60_000

/** Throws unless the API, the engine and the kernel say that an instance runs, and it does what it is told. */
export async function assertRuns({ engine, server }: World, { instanceId, containerId, cgroup }: Instance) {
  const call = callerOf(server)
  await until(() => ok(call, `GET /api/v2/instances/${instanceId}`), isRunning, RUNS_AGAIN_MS)
  const status = await engine.docker(['inspect', '--format', '{{.State.Status}}', containerId])
  assert.deepEqual([status, readCgroupState(cgroup)], ['running', 'thawed'])
  assert.equal(await engine.docker(['exec', containerId, 'echo', 'alive']), 'alive')
}

/** Throws unless the image pulls, runs, and has what was put into the instance before it was saved. */
export async function assertSaved({ engine }: World, { imageUrl }: Snapshot, contents: string): Promise<void> {
  await engine.docker(['pull', '--quiet', imageUrl])
  const seen = await engine.docker(['run', '--rm', '--network', 'none', imageUrl, 'sha256sum', '/data/now'])
  assert.equal(seen, contents)
  await engine.docker(['rmi', imageUrl])
}

/** Throws unless nobody can take the image of a failed snapshot for a saved one. */
export async function assertNoTag({ imageUrl }: Snapshot): Promise<void> {
  const [, host, repository, tag] = /^([^/]+)\/(.+):([^:]+)$/.exec(imageUrl) ?? []
  const headers = { accept: 'application/vnd.oci.image.manifest.v1+json' }
  const { status } = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, { method: 'HEAD', headers })
  assert.equal(status, 404, `${imageUrl} is there, and its snapshot failed`)
}

const SWEPT_MS = 60_000

/** Throws unless nothing of any capture is left while none is under way: processes, spools, records of freezes. */
export async function assertTidy({ server }: World, instances: readonly Instance[], dead: readonly Identity[]) {
  const children = familyOf(server.pid()).filter(({ pid }) => pid !== server.pid())
  await assertEnded([...dead, ...children], server.home)
  const spool = join(server.home, 'spool')
  await until(async () => readdirSync(spool), isEmpty, SWEPT_MS)
  const recordNames = instances.map(({ recordName }) => recordName)
  const records = readdirSync(RECORD_HOME).filter((name) => recordNames.some((start) => name.startsWith(start)))
  assert.deepEqual(records, [], 'no record of a freeze is left')
}

const isEmpty = (names: readonly string[]) => names.length === 0

/** How often a tag was moved in the storage of the registry: it keeps each manifest that a tag ever stood for. */
export function manifestsOf({ directory }: Registry, repository: string, tag: string): readonly string[] {
  return readdirSync(`${directory}/docker/registry/v2/repositories/${repository}/_manifests/tags/${tag}/index/sha256`)
}

/** How often the registry was told to move a tag. */
export function putsOf(registry: Registry, repository: string, tag: string): number {
  const isPut = (line: string) =>
    line.includes('http.request.method=PUT') &&
    line.includes(`/v2/${repository}/manifests/${tag}"`.slice(0, -1)) &&
    line.includes('http.response.status=201')
  return registry.log().split('\n').filter(isPut).length
}

/** The mounts that a process sees, by their roots. */
export const mountRootsOf = (pid: number): readonly string[] => {
  try {
    return readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[3] ?? '')
  } catch {
    return [] // it has ended meanwhile
  }
}

/** Mulberry32: the same numbers from 0 to 1 for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
