import type { Db } from './schema.ts'

/** What the installation keeps about itself. */
export interface SettingsTable {
  get(key: string): Promise<string | undefined>
  set(key: string, value: string): Promise<void>
  /** The value that stands there after the call: `value`, unless another one was there before. */
  setOnce(key: string, value: string): Promise<string>
}

export function settingsTable(db: Db): SettingsTable {
  const get = async (key: string) => {
    const row = await db.selectFrom('settings').select('value').where('key', '=', key).executeTakeFirst()
    return row?.value
  }
  return {
    get,
    async set(key, value) {
      const insert = db.insertInto('settings').values({ key, value })
      await insert.onConflict((conflict) => conflict.column('key').doUpdateSet({ value })).execute()
    },
    async setOnce(key, value) {
      const insert = db.insertInto('settings').values({ key, value })
      await insert.onConflict((conflict) => conflict.column('key').doNothing()).execute()
      return (await get(key)) ?? value
    },
  }
}
