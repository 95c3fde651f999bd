import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anInstance } from '#lab/instances.ts'
import { forEachStore, type OpenTestStore } from '#lab/stores.ts'

async function openWithInstance(open: OpenTestStore) {
  const store = await open()
  await store.instances.insert(anInstance())
  return store
}

forEachStore('what belongs to an instance', (open) => {
  test('labels are added, replaced and removed by key; tags stand beside them', async () => {
    const { instanceLabels } = await openWithInstance(open)
    await instanceLabels.put('dsw-a', 'label', new Map(Object.entries({ a: '1', b: '2' })))
    await instanceLabels.put('dsw-a', 'label', new Map(Object.entries({ b: '3', c: '4' })))
    await instanceLabels.put('dsw-a', 'tag', new Map([['a', 'tag']]))
    await instanceLabels.remove('dsw-a', 'label', ['c', 'unknown'])
    const texts = (await instanceLabels.of(['dsw-a', 'dsw-x'])).map(({ kind, key, value }) => `${kind} ${key}=${value}`)
    assert.deepEqual(texts.toSorted(), ['label a=1', 'label b=3', 'tag a=tag'])
    assert.deepEqual(await instanceLabels.of([]), [])
  })

  test('a state ends when the next begins; a note ends at once', async () => {
    const { lifecycle } = await openWithInstance(open)
    const entry = { instanceId: 'dsw-a', session: 1, reasonCode: '', reasonMessage: '' }
    await lifecycle.begin({ ...entry, status: 'Starting', startMs: 10 })
    await lifecycle.begin({ ...entry, status: 'Running', startMs: 20 })
    await lifecycle.note({ ...entry, status: 'Saved', startMs: 30 })
    const page = { order: 'asc', offset: 0, limit: 10 } as const
    const { sessions, total } = await lifecycle.sessions('dsw-a', page)
    const states = sessions[0]?.map(({ status, startMs, endMs }) => [status, startMs, endMs])
    assert.deepEqual(states, [
      ['Starting', 10, 20],
      ['Running', 20, null],
      ['Saved', 30, 30],
    ])
    assert.equal(total, 1)
  })

  test('sessions are paged, ordered and cut by time', async () => {
    const { lifecycle } = await openWithInstance(open)
    for (const session of [1, 2, 3])
      for (const status of ['Starting', 'Stopped'] as const)
        await lifecycle.begin({
          instanceId: 'dsw-a',
          session,
          status,
          reasonCode: '',
          reasonMessage: '',
          startMs: session * 10,
        })
    const numbers = async (page: Parameters<typeof lifecycle.sessions>[1]) => {
      const { sessions, total } = await lifecycle.sessions('dsw-a', page)
      return [...sessions.map((states) => states[0]?.session), `of ${total}`]
    }
    assert.deepEqual(await numbers({ order: 'desc', offset: 0, limit: 2 }), [3, 2, 'of 3'])
    assert.deepEqual(await numbers({ order: 'asc', offset: 1, limit: 2 }), [2, 3, 'of 3'])
    assert.deepEqual(await numbers({ order: 'asc', offset: 0, limit: 9, fromMs: 20, toMs: 20 }), [2, 'of 1'])
    assert.deepEqual(await numbers({ order: 'asc', offset: 5, limit: 1 }), ['of 3'])
  })

  test('events are paged in both orders, and cut by time and level', async () => {
    const { instanceEvents } = await openWithInstance(open)
    for (const [index, level] of (['Info', 'Error', 'Info'] as const).entries())
      await instanceEvents.add({ instanceId: 'dsw-a', timeMs: index * 10, level, text: `${index}` })
    const texts = async (page: Parameters<typeof instanceEvents.list>[1]) => {
      const { events, total } = await instanceEvents.list('dsw-a', page)
      return `${events.map(({ text }) => text).join('')} of ${total}`
    }
    assert.equal(await texts({ order: 'asc', offset: 0, limit: 2 }), '01 of 3')
    assert.equal(await texts({ order: 'desc', offset: 1, limit: 9 }), '10 of 3')
    assert.equal(await texts({ order: 'asc', offset: 0, limit: 9, levels: ['Info'] }), '02 of 2')
    assert.equal(await texts({ order: 'asc', offset: 0, limit: 9, fromMs: 10, toMs: 10 }), '1 of 1')
    assert.equal(await instanceEvents.prune(10), 1)
    assert.equal(await texts({ order: 'asc', offset: 0, limit: 9 }), '12 of 2')
  })

  test('readings are averaged in buckets; what was not measured is left out', async () => {
    const { metrics } = await openWithInstance(open)
    const reading = { instanceId: 'dsw-a', memoryPct: 1, netIn: 0, netOut: 0, diskRead: 0, diskWrite: 0 }
    const none = { gpuPct: null, gpuMemoryPct: null }
    const at = (timeMs: number, cpuPct: number) => ({ ...reading, ...none, timeMs, cpuPct })
    await metrics.add([at(100_000, 10), at(115_000, 20), at(160_000, 30), { ...at(175_000, 50), gpuPct: 7 }])
    await metrics.add([at(100_000, 99)])
    await metrics.add([])
    const query = { metric: 'cpuPct', fromMs: 0, toMs: 200_000, stepMs: 60_000, limit: 10 } as const
    assert.deepEqual(await metrics.series('dsw-a', query), [
      { timeMs: 60_000, value: 15 },
      { timeMs: 120_000, value: 40 },
    ])
    assert.deepEqual(await metrics.series('dsw-a', { ...query, metric: 'gpuPct' }), [{ timeMs: 120_000, value: 7 }])
    assert.deepEqual(await metrics.series('dsw-a', { ...query, fromMs: 115_000, toMs: 115_000 }), [
      { timeMs: 60_000, value: 20 },
    ])
    assert.equal((await metrics.series('dsw-a', { ...query, limit: 1 })).length, 1)
    assert.equal(await metrics.prune(116_000), 2)
  })

  test('one culler for each instance', async () => {
    const { cullers } = await openWithInstance(open)
    const culler = { instanceId: 'dsw-a', cpuPct: 5, gpuPct: 6, maxIdleMinutes: 60 }
    assert.equal(await cullers.insert(culler), true)
    assert.equal(await cullers.insert({ ...culler, cpuPct: 9 }), false)
    await cullers.setIdleSince('dsw-a', 1234)
    assert.deepEqual(await cullers.of(['dsw-a']), [{ ...culler, idleSinceMs: 1234 }])
    await cullers.setIdleSince('dsw-a', null)
    assert.equal((await cullers.of(['dsw-a']))[0]?.idleSinceMs, null)
    assert.deepEqual([await cullers.remove('dsw-a'), await cullers.remove('dsw-a')], [true, false])
    assert.deepEqual(await cullers.of([]), [])
  })

  test('a second timer takes the place of the first', async () => {
    const { timers } = await openWithInstance(open)
    await timers.put('dsw-a', 500, 1)
    await timers.put('dsw-a', 900, 2)
    const timer = { instanceId: 'dsw-a', dueMs: 900, createdMs: 1, modifiedMs: 2 }
    assert.deepEqual(await timers.of(['dsw-a']), [timer])
    assert.deepEqual([await timers.due(899), await timers.due(900)], [[], [timer]])
    assert.equal(await timers.remove('dsw-a', 500), false)
    assert.deepEqual([await timers.remove('dsw-a', 900), await timers.remove('dsw-a')], [true, false])
    assert.deepEqual(await timers.of([]), [])
  })

  test('temporary files belong to a user, and end', async () => {
    const { tempFiles } = await open()
    const file = { instanceId: 'dsw-a', userId: '100', taskId: '', status: 'Created', createdMs: 1, modifiedMs: 1 }
    await tempFiles.insert({
      ...file,
      tempFileId: 'tempfile-1',
      name: 'x',
      prefix: 'some/🙂/dir/',
      capacity: 10,
      expiresMs: 100,
    })
    await tempFiles.insert({
      ...file,
      tempFileId: 'tempfile-2',
      name: 'y',
      prefix: 'some/',
      capacity: 20,
      expiresMs: 200,
    })
    await tempFiles.insert({
      ...file,
      tempFileId: 'tempfile-3',
      userId: '200',
      name: 'x',
      prefix: '',
      capacity: 1,
      expiresMs: 9,
    })
    const names = async (filter: object) => {
      const page = { userId: '100', order: 'asc', offset: 0, limit: 10 } as const
      const { files, total } = await tempFiles.list({ ...page, ...filter })
      return `${files.map(({ name }) => name).join('')} of ${total}`
    }
    assert.equal(await names({}), 'xy of 2')
    assert.equal(await names({ order: 'desc', limit: 1 }), 'y of 2')
    assert.equal(await names({ prefix: 'some/🙂/d' }), 'x of 1')
    assert.equal(await names({ name: 'y', instanceId: 'dsw-a' }), 'y of 1')
    assert.equal(await names({ instanceId: 'dsw-b' }), ' of 0')
    assert.deepEqual(await tempFiles.usage('100'), { files: 2, bytes: 30 })
    assert.deepEqual(await tempFiles.usage('300'), { files: 0, bytes: 0 })
    assert.equal(await tempFiles.update('tempfile-2', { status: 'Uploaded', modifiedMs: 5 }), true)
    assert.equal(await tempFiles.update('tempfile-9', { status: 'Uploaded' }), false)
    assert.equal((await tempFiles.find('tempfile-2'))?.status, 'Uploaded')
    await tempFiles.removeExpired(100)
    assert.equal(await names({}), 'y of 1')
    assert.deepEqual([await tempFiles.remove('tempfile-2'), await tempFiles.remove('tempfile-2')], [true, false])
  })

  test('tasks of temporary files', async () => {
    const { tempFileTasks } = await open()
    const task = { taskId: 'task-1', instanceId: 'dsw-a', userId: '100', createdMs: 1, modifiedMs: 1, expiresMs: 100 }
    await tempFileTasks.insert(task)
    await tempFileTasks.insert({ ...task, taskId: 'task-2' })
    assert.equal(await tempFileTasks.update('task-1', { expiresMs: 300, modifiedMs: 2 }), true)
    assert.equal(await tempFileTasks.update('task-9', { expiresMs: 300, modifiedMs: 2 }), false)
    await tempFileTasks.removeExpired(100)
    assert.deepEqual(await tempFileTasks.find('task-1'), { ...task, expiresMs: 300, modifiedMs: 2 })
    assert.equal(await tempFileTasks.find('task-2'), undefined)
    assert.deepEqual([await tempFileTasks.remove(['task-1', 'task-2']), await tempFileTasks.remove([])], [1, 0])
  })

  test('a sanity check ends with what it found', async () => {
    const { sanityChecks } = await openWithInstance(open)
    const check = {
      taskId: 't',
      instanceId: 'dsw-a',
      checkType: 'SSH',
      status: 'Executing',
      startMs: 5,
      endMs: null,
      details: '[]',
    }
    await sanityChecks.insert(check)
    const result = { status: 'Finished', endMs: 6, details: '[1]' }
    assert.equal(await sanityChecks.finish('t', result), true)
    assert.equal(await sanityChecks.finish('x', result), false)
    assert.deepEqual(await sanityChecks.find('t'), { ...check, ...result })
    await sanityChecks.prune(6)
    assert.equal(await sanityChecks.find('t'), undefined)
  })
})
