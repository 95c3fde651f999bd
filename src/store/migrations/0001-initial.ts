import type { Migration } from '#store/migrate.ts'
import { identityTables } from './0001-identities.ts'
import { instanceTables } from './0001-instances.ts'
import { searchIndexes } from './0001-search.ts'
import { snapshotTables } from './0001-snapshots.ts'
import { typesOf } from './types.ts'

/** All tables of the first release. */
export const initial: Migration = {
  name: '0001-initial',
  statements: (kind) => {
    const types = typesOf(kind)
    return [...identityTables(types), ...instanceTables(types), ...searchIndexes(types), ...snapshotTables(types)]
  },
}
