/** The way of an instance, as the programs of an official client go it. */
import assert from 'node:assert/strict'
import { sleep } from '#base/abort.ts'
import type { Action } from '#contract/operations.ts'
import type { Body, Call, OfficialClient } from './client.ts'

const ASK_AGAIN_MS = 150
const LIMIT_MS = 240_000

/** The documented states on the way to the last one (dsw-api §1.2). */
export const TO_RUNNING = ['Creating', 'Queuing', 'ResourceAllocating', 'EnvPreparing', 'Starting', 'Running']
export const TO_SAVED = ['Committing', 'Pushing', 'Saved']
export const TO_STOPPED_SAVED = ['Saving', 'Running', 'Stopping', 'Stopped']

/** Ask until the status is the last of `states`: what was answered then. Any other status, or a step back, is an error. */
export async function follow(
  client: OfficialClient,
  {
    action,
    params,
    states,
  }: { readonly action: Action; readonly states: readonly string[] } & Required<Pick<Call, 'params'>>,
): Promise<Body> {
  const deadline = performance.now() + LIMIT_MS
  for (let reached = 0; ; await sleep(ASK_AGAIN_MS)) {
    const body = await client.body(action, { params })
    const position = states.indexOf(body['Status'])
    const told = `${client.name}: ${body['Status']} after ${states[reached]}: ${body['ReasonMessage']}`
    assert.ok(position >= reached, told)
    if (position === states.length - 1) return body
    reached = position
    assert.ok(performance.now() < deadline, told)
  }
}

/** An instance that runs: its id. */
export async function createRunning(client: OfficialClient, body: object): Promise<string> {
  const made = await client.body('CreateInstance', { body })
  assert.deepEqual([made['Success'], made['HttpStatusCode']], [true, 200])
  const params = { InstanceId: String(made['InstanceId']) }
  await follow(client, { action: 'GetInstance', params, states: TO_RUNNING })
  return params.InstanceId
}

/** A snapshot that is saved, as GetInstanceSnapshot has it. */
export async function saveAs(client: OfficialClient, InstanceId: string, body: object): Promise<Body> {
  const made = await client.body('CreateInstanceSnapshot', { params: { InstanceId }, body })
  assert.deepEqual([made['Success'], made['InstanceId']], [true, InstanceId])
  const params = { InstanceId, SnapshotId: String(made['SnapshotId']) }
  return await follow(client, { action: 'GetInstanceSnapshot', params, states: TO_SAVED })
}

/** Delete an instance, and wait until nobody knows it. */
export async function deleteInstance(client: OfficialClient, InstanceId: string): Promise<void> {
  await client.body('DeleteInstance', { params: { InstanceId } })
  const deadline = performance.now() + LIMIT_MS
  for (;;) {
    const { body, error } = await client.outcome('GetInstance', { params: { InstanceId } })
    if (error) return assert.equal(error.status, 404)
    assert.equal(body['Status'], 'Deleting')
    assert.ok(performance.now() < deadline)
    await sleep(ASK_AGAIN_MS)
  }
}
