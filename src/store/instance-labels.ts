import { findByKeys, isOneOf } from './find-by-key.ts'
import type { InstanceLabelRow } from './schema-instances.ts'
import type { Db } from './schema.ts'

export type LabelKind = InstanceLabelRow['kind']

export type InstanceLabelsTable = ReturnType<typeof instanceLabelsTable>

/** The labels and tags of instances: one value for each key of a kind. */
export function instanceLabelsTable(db: Db) {
  return {
    /** New keys are added, the values of known ones replaced; others stay. */
    async put(instanceId: string, kind: LabelKind, labels: ReadonlyMap<string, string>): Promise<void> {
      if (labels.size === 0) return
      const rows = [...labels].map(([key, value]) => ({ instanceId, kind, key, value }))
      await db
        .insertInto('instanceLabels')
        .values(rows)
        .onConflict((conflict) =>
          conflict.columns(['instanceId', 'kind', 'key']).doUpdateSet((row) => ({ value: row.ref('excluded.value') })),
        )
        .execute()
    },

    /** Keys that are not there do not matter. */
    async remove(instanceId: string, kind: LabelKind, keys: readonly string[]): Promise<void> {
      if (keys.length === 0) return
      await db
        .deleteFrom('instanceLabels')
        .where('instanceId', '=', instanceId)
        .where('kind', '=', kind)
        .where('key', 'in', keys)
        .execute()
    },

    /** Of all these instances, by key. */
    of: findByKeys<InstanceLabelRow>(db, (instanceIds) =>
      db
        .selectFrom('instanceLabels')
        .selectAll()
        .where(isOneOf(db, 'instanceId', instanceIds))
        .orderBy('instanceId')
        .orderBy('key'),
    ),
  }
}
