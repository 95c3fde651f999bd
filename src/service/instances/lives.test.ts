import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { ALICE, BOB, DRAFT, isStatus, openTestInstances } from '#lab/instance-service.ts'
import { forEachStore } from '#lab/stores.ts'
import { forEachInstance } from './power.ts'

const PAGE = { order: 'asc', offset: 0, limit: 100 } as const

/** Comes before a call: no registry has the image. */
function refusePull(call: string): void {
  if (call === 'prepare') throw new AppError('image_not_found', 'There is no such image.')
}

forEachStore('the life of an instance', (open) => {
  test('from its creation to its deletion, with every state in the lifecycle', async () => {
    await using service = openTestInstances(await open())
    const { instances, store, runtime, until } = service
    const id = await service.running({ environment: { A: 'b' }, onStart: 'echo hi' })
    assert.equal(runtime.containers.get(id)?.spec.environment['A'], 'b')
    assert.equal(runtime.containers.get(id)?.spec.onStart, 'echo hi')
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    await instances.startOne(id, ALICE)
    await until(id, isStatus('Running'))
    assert.equal(runtime.calls.filter((call) => call.startsWith('create')).length, 1, 'a stop keeps the container')
    const { sessions } = await store.lifecycle.sessions(id, PAGE)
    assert.deepEqual(
      sessions.map((states) => states.map(({ status }) => status).join(' ')),
      ['Creating EnvPreparing Starting Running Stopping Stopped', 'Starting Running'],
    )
    await instances.deleteOne(id, ALICE)
    await until(id, (record) => record === undefined)
    assert.deepEqual([runtime.containers.size, runtime.volumes.size], [0, 0])
  })

  test('the answer does not wait for the engine, and a deletion cuts a pull short', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    const pulling = Promise.withResolvers<void>()
    runtime.before = (call, _id, signal) => {
      if (call !== 'create') return
      pulling.resolve()
      return new Promise((_, reject) =>
        signal?.addEventListener('abort', () => reject(new AppError('cancelled', 'Cut.'))),
      )
    }
    const id = await instances.create(DRAFT, ALICE)
    await pulling.promise
    assert.equal((await instances.get(id, ALICE)).record.status, 'EnvPreparing')
    await instances.deleteOne(id, ALICE)
    await until(id, (record) => record === undefined)
  })

  test('a stop while the image is pulled ends stopped', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    const pulling = Promise.withResolvers<void>()
    runtime.before = (call, _id, signal) => {
      if (call !== 'create') return
      pulling.resolve()
      return new Promise((_, reject) =>
        signal?.addEventListener('abort', () => reject(new AppError('cancelled', 'Cut.'))),
      )
    }
    const id = await instances.create(DRAFT, ALICE)
    await pulling.promise
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    runtime.before = () => undefined
    await instances.startOne(id, ALICE)
    await until(id, isStatus('Running'))
  })

  test('the engine is told what was saved last under the tag: it may have what was there before', async () => {
    const store = await open()
    await using service = openTestInstances(store)
    const { runtime } = service
    const seen: (string | undefined)[] = []
    runtime.after = (call, id) => {
      if (call === 'create') seen.push(runtime.containers.get(id)?.spec.imageDigest)
    }
    const imageUrl = 'r.example.com/lab/my_app:v1'
    await service.running({ imageUrl })
    const snapshot = { snapshotId: 'snp-1', instanceId: 'dsw-gone', workspaceId: '1', userId: '100', name: 'v1' }
    const request = { description: '', overwrite: true, excludePaths: [], labels: [], origin: 'api' } as const
    await store.snapshots.insert({ ...snapshot, ...request, imageUrl }, 1000)
    const claimed = await store.snapshotQueue.claimNext({ owner: 'one', leaseMs: 1000, nowMs: 1000 })
    assert.ok(claimed)
    const manifest = { digest: 'sha256:new', text: '{}' }
    await store.snapshotQueue.renew(claimed, { nowMs: 1000, leaseMs: 1000 }, { manifest })
    await store.snapshotQueue.end(claimed, { status: 'Saved', imageId: 'image-1' }, 1000)
    await service.running({ imageUrl: 'r.example.com/lab/my_app:v1' })
    await service.running({ imageUrl: 'R.Example.com/lab/my_app:v1' })
    assert.deepEqual(seen, [undefined, 'sha256:new', 'sha256:new'])
  })

  for (const isTold of [true, false])
    test(`a container that somebody else starts (${isTold ? 'an event tells' : 'no event comes'}) is an instance that runs, and can be stopped`, async () => {
      await using service = openTestInstances(await open())
      const { instances, runtime, until } = service
      const id = await service.running()
      await instances.stopOne(id, ALICE)
      await until(id, isStatus('Stopped'))
      runtime.startBeside(id, isTold)
      await until(id, isStatus('Running'))
      await instances.stopOne(id, ALICE)
      await until(id, isStatus('Stopped'))
      assert.equal(runtime.containers.get(id)?.state.status, 'exited')
    })

  test('an engine that does not list its containers keeps no end from being seen', async () => {
    await using service = openTestInstances(await open())
    const { runtime, until } = service
    const id = await service.running()
    runtime.before = (call) => {
      if (call === 'running') throw new AppError('engine_unavailable', 'No list.')
    }
    runtime.exit(id)
    await until(id, isStatus('Stopped'))
  })

  test("a start that fails while the container runs is not taken for somebody else's, again and again", async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, store, until } = service
    const id = await service.running()
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    runtime.after = (call) => {
      if (call === 'start') throw new AppError('parameter_invalid', 'It was refused, and runs.')
    }
    await instances.startOne(id, ALICE)
    await until(id, isStatus('Failed'))
    const { version } = (await store.instances.find(id))!
    const swept = () => runtime.calls.filter((call) => call === 'running').length
    for (const from = swept(); swept() < from + 4;) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal((await store.instances.find(id))?.version, version)
  })

  test('what is mistaken in an update costs nothing of what the container holds', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    const id = await service.running()
    const { containerId } = runtime.containers.get(id)!
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    runtime.before = refusePull
    const to = (imageUrl: string) =>
      instances.update(id, { draft: { echo: {}, imageUrl }, removal: { echo: [] }, start: true }, ALICE)
    await to('r.example/tpyo:1')
    await until(id, isStatus('Failed'))
    assert.equal(runtime.containers.get(id)?.containerId, containerId)
    runtime.before = () => undefined
    await to('r.example/right:1')
    await until(id, isStatus('Running'))
    assert.equal(runtime.containers.get(id)?.spec.imageUrl, 'r.example/right:1')
  })

  test('a deletion takes what nobody has noted: another container, or only a volume', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    const id = await service.running()
    runtime.containers.set(id, { ...runtime.containers.get(id)!, containerId: 'of a server that has died' })
    await instances.deleteOne(id, ALICE)
    await until(id, (record) => record === undefined)
    assert.deepEqual([runtime.containers.size, runtime.volumes.size], [0, 0])

    const other = await service.running()
    runtime.lose(other)
    await until(other, isStatus('Failed'))
    runtime.before = refusePull
    await instances.startOne(other, ALICE)
    await until(other, (record) => record?.status === 'Failed' && record.handle === undefined)
    await instances.deleteOne(other, ALICE)
    await until(other, (record) => record === undefined)
    assert.equal(runtime.volumes.size, 0)
  })

  test('a stop and a deletion do not wait for pulls, however many there are', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    const [stopped, deleted] = [await service.running(), await service.running()]
    let pulls = 0
    const over = Promise.withResolvers<void>()
    runtime.before = (call) => {
      if (call !== 'prepare') return
      pulls++
      return over.promise
    }
    const pulling = await Promise.all(Array.from({ length: 12 }, () => instances.create({ ...DRAFT }, ALICE)))
    while (pulls < 8) await new Promise((resolve) => setTimeout(resolve, 2))
    await instances.stopOne(stopped, ALICE)
    await instances.deleteOne(deleted, ALICE)
    await until(stopped, isStatus('Stopped'))
    await until(deleted, (record) => record === undefined)
    assert.equal(pulls, 8)
    over.resolve()
    for (const id of pulling) await until(id, isStatus('Running'))
  })

  const failures: readonly (readonly [AppError, string, string])[] = [
    [new AppError('image_not_found', 'There is no such image.'), 'ImagePullBackOff', 'an image that is not there'],
    [new AppError('registry_denied', 'Wrong password.'), 'ImagePullBackOff', 'a registry that refuses'],
    [new AppError('insufficient_resource', 'Too large.'), 'Resource.InsufficientResource', 'more than the host has'],
    [new AppError('image_unsupported', 'No shell.'), 'ImageUnsupported', 'an image without a shell'],
  ]
  test('what cannot be started is Failed, with the reason', async (t) => {
    await using service = openTestInstances(await open())
    const { instances, runtime, store, until } = service
    for (const [error, code, reason] of failures)
      await t.test(reason, async () => {
        runtime.before = (call) => {
          if (call === 'create') throw error
        }
        const id = await instances.create(DRAFT, ALICE)
        const failed = await until(id, isStatus('Failed'))
        assert.deepEqual([failed?.reasonCode, failed?.reasonMessage], [code, error.message])
        const { events } = await store.instanceEvents.list(id, { ...PAGE, levels: ['Error'] })
        assert.match(events[0]?.text ?? '', new RegExp(error.message))
        runtime.before = () => undefined
        await instances.startOne(id, ALICE)
        assert.equal((await until(id, isStatus('Running')))?.reasonCode, '')
      })
  })

  test('what may pass is tried again, and given up in the end', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    let tries = 0
    runtime.before = (call) => {
      if (call === 'create' && ++tries <= 3) throw new AppError('engine_unavailable', 'Away.')
    }
    await until(await instances.create(DRAFT, ALICE), isStatus('Running'))
    assert.equal(tries, 4)
    tries = Number.NEGATIVE_INFINITY
    const failed = await until(await instances.create(DRAFT, ALICE), isStatus('Failed'))
    assert.equal(failed?.reasonCode, 'EngineUnavailable')
  })

  test('a stop and a deletion are tried until they succeed', async () => {
    await using service = openTestInstances(await open())
    const { instances, runtime, until } = service
    const id = await service.running()
    let refusals = 8
    runtime.before = (call) => {
      if ((call === 'stop' || call === 'remove') && refusals-- > 0) throw new AppError('engine_unavailable', 'Away.')
    }
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    refusals = 8
    await instances.deleteOne(id, ALICE)
    await until(id, (record) => record === undefined)
  })

  test('what was not foreseen is Failed without telling its cause', async () => {
    await using service = openTestInstances(await open())
    service.runtime.before = (call) => {
      if (call === 'create') throw new Error('/secret/path broke')
    }
    const id = await service.instances.create(DRAFT, ALICE)
    const failed = await service.until(id, isStatus('Failed'))
    assert.equal(failed?.reasonCode, 'InternalError')
    assert.doesNotMatch(failed?.reasonMessage ?? '', /secret/)
  })

  const ends = [
    [{ exitCode: 0 }, 'Stopped', 'ContainerExited', 'the main process ends well'],
    [{ exitCode: 3 }, 'Failed', 'ContainerExited', 'the main process ends with an error'],
    [{ exitCode: 137, isOutOfMemory: true }, 'Failed', 'OOMKilled', 'the memory is used up'],
  ] as const
  test('a container that ends by itself is told truthfully', async (t) => {
    await using service = openTestInstances(await open())
    for (const [how, status, code, reason] of ends)
      await t.test(reason, async () => {
        const id = await service.running()
        service.runtime.exit(id, how)
        const end = await service.until(id, isStatus(status))
        assert.deepEqual([end?.reasonCode, end?.startedMs], [code, null])
      })
    await t.test('somebody removes it', async () => {
      const id = await service.running()
      service.runtime.lose(id)
      assert.equal((await service.until(id, isStatus('Failed')))?.reasonCode, 'ContainerGone')
      await service.instances.startOne(id, ALICE)
      await service.until(id, isStatus('Running'))
    })
  })

  test('a container that ends at once is not called Running', async () => {
    await using service = openTestInstances(await open())
    service.runtime.after = (call, id) => {
      if (call === 'start') service.runtime.exit(id, { exitCode: 127 })
    }
    const failed = await service.until(await service.instances.create(DRAFT, ALICE), isStatus('Failed'))
    assert.match(failed?.reasonMessage ?? '', /127/)
    const { sessions } = await service.store.lifecycle.sessions(failed?.instanceId ?? '', PAGE)
    assert.ok(!sessions[0]?.some(({ status }) => status === 'Running'))
  })

  test('only what fits the state is done', async () => {
    await using service = openTestInstances(await open())
    const { instances, until, store } = service
    const id = await service.running()
    await assert.rejects(instances.startOne(id, ALICE), { code: 'instance_state_invalid' })
    await instances.saving.setSaving(id, 'snp-1')
    for (const call of [
      () => instances.stopOne(id, ALICE),
      () => instances.stopOne(id, ALICE, 'r.example.com/a'),
      () => instances.deleteOne(id, ALICE),
    ])
      await assert.rejects(call, { code: 'instance_state_invalid', kind: 'conflict' })
    await instances.saving.endCommitting(id, 'snp-1')
    await instances.stopOne(id, ALICE)
    await instances.stopOne(id, ALICE)
    await until(id, isStatus('Stopped'))
    await assert.rejects(instances.stopOne(id, ALICE, 'r.example.com/a'), /Stopped.*Running/)
    await instances.deleteOne(id, ALICE)
    await until(id, (record) => record === undefined)
    for (const call of [
      () => instances.startOne(id, ALICE),
      () => instances.deleteOne(id, ALICE),
      () => instances.stopOne('dsw-x', ALICE),
    ])
      await assert.rejects(call, { code: 'instance_not_found' })
    assert.equal(await store.instances.find(id), undefined)
  })

  test("another's private instance is not there", async () => {
    await using service = openTestInstances(await open())
    const { instances } = service
    const id = await service.running()
    for (const call of [
      () => instances.get(id, BOB),
      () => instances.stopOne(id, BOB),
      () => instances.deleteOne(id, BOB),
    ])
      await assert.rejects(call, { code: 'instance_not_found' })
    await instances.update(
      id,
      { draft: { accessibility: 'PUBLIC', echo: {} }, removal: { echo: [] }, start: false },
      ALICE,
    )
    assert.equal((await instances.get(id, BOB)).accessToken, undefined)
    assert.notEqual((await instances.get(id, ALICE)).accessToken, undefined)
  })

  test('in a batch each instance is on its own, and counts once', async () => {
    await using service = openTestInstances(await open())
    const id = await service.running()
    const { done, failures } = await forEachInstance([id, 'dsw-x', id], (each) =>
      service.instances.stopOne(each, ALICE),
    )
    assert.deepEqual(done, [id])
    assert.deepEqual(
      failures.map(({ instanceId, error }) => [instanceId, error.code]),
      [['dsw-x', 'instance_not_found']],
    )
  })
})
