import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forEachStore } from '#lab/stores.ts'
import { connect } from './database.ts'
import { findByKey } from './find-by-key.ts'

forEachStore('a query that is compiled once', (open) => {
  test('each call has its own key, and columns are called what the schema calls them', async () => {
    const { database, settings } = await open()
    await using db = connect(database)
    await settings.set('color', 'sepia')
    await settings.set('plate', 'iron')
    let builds = 0
    const find = findByKey(db, (key) => {
      builds++
      return db
        .selectFrom('settings')
        .select(({ ref }) => ['key', ref('value').as('keptValue')])
        .where('key', '=', key)
    })
    assert.deepEqual({ ...(await find('color')) }, { key: 'color', keptValue: 'sepia' })
    assert.deepEqual({ ...(await find('plate')) }, { key: 'plate', keptValue: 'iron' })
    assert.equal(await find('nothing'), undefined)
    assert.equal(builds, 1)
  })
})
