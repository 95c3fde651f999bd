import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFakeRegistry, type Seen } from '#lab/fake-registry.ts'
import { openRegistries } from './registries.ts'

test('a registry that is not listed is refused, however it is spelt', async () => {
  const open = openRegistries([{ host: 'localhost:5000' }, { host: 'docker.io' }])
  for (const name of ['localhost:5001/a', 'localhost/a', 'example.com/a', 'localhost.:5000/a'])
    await assert.rejects(open(name), (error: { code: string }) =>
      ['registry_not_allowed', 'reference_invalid'].includes(error.code),
    )
  for (const name of ['localhost:5000/a', 'LOCALHOST:5000/a']) assert.equal((await open(name)).name, 'localhost:5000/a')
  for (const name of ['python', 'docker.io/library/python', 'index.docker.io/library/python'])
    assert.equal((await open(name)).name, 'docker.io/library/python')
})

test('each registry gets its own login, and none that is not given', async () => {
  const challenge = ({ headers }: Seen) => (headers.authorization ? undefined : 'Basic realm="x"')
  await using mine = await startFakeRegistry({ challenge })
  await using other = await startFakeRegistry({ challenge })
  const open = openRegistries([{ host: mine.host, login: { username: 'ann', password: 'p:w' } }, { host: other.host }])
  await (await open(`${mine.host}/a`)).resolve('v1')
  const sent = mine.seen.map(({ headers }) => headers.authorization)
  assert.equal(sent.at(-1), `Basic ${Buffer.from('ann:p:w').toString('base64')}`)
  await assert.rejects(
    open(`${other.host}/a`).then((repository) => repository.resolve('v1')),
    {
      code: 'registry_denied',
    },
  )
  assert.ok(other.seen.every(({ headers }) => headers.authorization === undefined))
})

test('a registry that may not be at a private address is not spoken to there', async () => {
  await using mine = await startFakeRegistry()
  const repository = await openRegistries([{ host: mine.host, allowPrivate: false }])(`${mine.host}/a`)
  await assert.rejects(repository.resolve('v1'), { code: 'registry_untrusted' })
  assert.deepEqual(mine.seen, [])
})
