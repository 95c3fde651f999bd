/** The story that the server is for, on a real engine with a real registry: save an instance, and go on from its image. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { labEngine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import { startRegistry } from '#lab/registry.ts'
import { keyIn, startServer, temporaryHome } from '#lab/serve.ts'
import { signedClient } from '#lab/signed-client.ts'
import type { Answer, CallOptions } from '#lab/signed-client.ts'

type Call = (line: string, options?: CallOptions) => Promise<Answer>

async function ok(call: Call, line: string, options: CallOptions = {}): Promise<Record<string, unknown>> {
  const answer = await call(line, options)
  assert.equal(answer.status, 200, `${line}: ${answer.text}`)
  return answer.json
}

/** Ask until the answer is one of `ends`. */
async function poll(call: Call, line: string, ends: readonly string[]): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await ok(call, line)
    if (ends.includes(String(answer['Status']))) return answer
    assert.ok(!['Failed', 'SaveFailed'].includes(String(answer['Status'])), JSON.stringify(answer))
    await delay(100)
  }
}

const TIMEOUT = { timeout: 550_000 }

test('an instance is made, changed, saved, made again from the image, and deleted', TIMEOUT, async (t) => {
  using home = temporaryHome()
  await using engine = await labEngine('docker28')
  await using registry = await startRegistry()
  const base = await busyboxImage(engine)
  const env = { DOCKER_HOST: `unix://${engine.socketPath}`, TINTYPE_DEFAULT_REPOSITORY: `${registry.host}/team/saved` }
  await using server = await startServer(home.path, env)
  const call = signedClient(server.url, keyIn(home.path))
  const instances: string[] = []
  const containerOf = async (instanceId: string) =>
    engine.docker(['ps', '-aq', '--no-trunc', '--filter', `label=io.tintype.instance=${instanceId}`])
  const create = async (name: string, image: object) => {
    const body = { InstanceName: name, EcsSpec: 'ecs.n4.small', ...image }
    const { InstanceId } = await ok(call, 'POST /api/v2/instances', { body })
    instances.push(String(InstanceId))
    await poll(call, `GET /api/v2/instances/${InstanceId}`, ['Running'])
    return String(InstanceId)
  }

  const first = await create('first', { ImageUrl: base })
  const container = await containerOf(first)
  await engine.docker(['exec', container, 'sh', '-c', 'echo changed > /changed; echo kept > /mnt/workspace/kept'])
  const snapshots = `/api/v2/instances/${first}/snapshots`
  const body = {
    SnapshotName: 'friday',
    ImageUrl: `${registry.host}/team/notebook`,
    Labels: [{ Key: 'a', Value: 'b' }],
  }
  let imageId = ''

  await t.test('saved', async () => {
    const { SnapshotId } = await ok(call, `POST ${snapshots}`, { body })
    const saved = await poll(call, `GET ${snapshots}/${SnapshotId}`, ['Saved'])
    assert.equal(saved['ImageUrl'], `${registry.host}/team/notebook:friday`)
    imageId = String(saved['ImageId'])
    const { Images } = await ok(call, 'GET /api/v1/images')
    assert.deepEqual(
      (Images as { ImageId: string }[]).map(({ ImageId }) => ImageId),
      [imageId],
    )
    assert.equal((await ok(call, `GET /api/v2/instances/${first}`))['Status'], 'Running')
    assert.equal(await engine.docker(['inspect', '-f', '{{.State.Status}}', container]), 'running')
  })

  await t.test('the tag is taken now, and is not moved', async () => {
    const again = await call(`POST ${snapshots}`, { body })
    assert.deepEqual([again.status, again.json['Code']], [400, 'ValidationError'], again.text)
  })

  await t.test('another registry is refused', async () => {
    const refused = await call(`POST ${snapshots}`, { body: { ...body, ImageUrl: 'registry.example.com/a/b' } })
    assert.deepEqual([refused.status, refused.json['Code']], [400, 'ValidationError'], refused.text)
  })

  await t.test('the second instance has what was changed in the first, and not its workspace', async () => {
    const second = await containerOf(await create('second', { ImageId: imageId }))
    const seen = await engine.docker(['exec', second, 'sh', '-c', 'cat /changed; ls /mnt/workspace'])
    assert.equal(seen, 'changed')
  })

  await t.test(
    'a server that stops in the middle of a snapshot leaves nothing frozen, and the next one finishes it',
    async () => {
      await engine.docker(['exec', container, 'sh', '-c', 'head -c 100000000 /dev/urandom > /big'])
      const again = { ...body, SnapshotName: 'saturday' }
      const { SnapshotId } = await ok(call, `POST ${snapshots}`, { body: again })
      const stopped = await server.stop()
      assert.equal(stopped.code, 0, stopped.log)
      assert.equal(await engine.docker(['inspect', '-f', '{{.State.Status}}', container]), 'running')
      await using next = await startServer(home.path, env)
      const callNext = signedClient(next.url, keyIn(home.path))
      const saved = await poll(callNext, `GET ${snapshots}/${SnapshotId}`, ['Saved'])
      assert.equal(saved['ImageUrl'], `${registry.host}/team/notebook:saturday`)
      await poll(callNext, `GET /api/v2/instances/${first}`, ['Running'])

      for (const instanceId of instances) await ok(callNext, `DELETE /api/v2/instances/${instanceId}`)
      for (const instanceId of instances) {
        while ((await callNext(`GET /api/v2/instances/${instanceId}`)).status !== 404) await delay(100)
        assert.equal(await containerOf(instanceId), '')
      }
      assert.equal((await next.stop()).code, 0)
    },
  )
})
