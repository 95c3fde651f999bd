import type { Db } from './schema.ts'
import type { AttachmentRow } from './schema-identities.ts'

export type PrincipalRef = Pick<AttachmentRow, 'principalKind' | 'principalId'>
export type PolicyRef = Pick<AttachmentRow, 'policyType' | 'policyName'>

/** Which policies count for which users and roles. */
export interface AttachmentsTable {
  /** False: it is attached already. */
  insert(attachment: AttachmentRow): Promise<boolean>
  /** False: it was not attached. */
  remove(attachment: PrincipalRef & PolicyRef): Promise<boolean>
  ofPrincipal(principal: PrincipalRef): Promise<readonly AttachmentRow[]>
  ofPolicy(policy: PolicyRef): Promise<readonly AttachmentRow[]>
  /** How many principals each policy is attached to; those with none are left out. */
  countByPolicy(policyType: AttachmentRow['policyType'], names: readonly string[]): Promise<ReadonlyMap<string, number>>
}

export function attachmentsTable(db: Db): AttachmentsTable {
  const attachments = db.selectFrom('attachments').selectAll()
  return {
    async insert(attachment) {
      const insert = db.insertInto('attachments').values(attachment)
      const done = await insert.onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
      return (done.numInsertedOrUpdatedRows ?? 0n) > 0n
    },
    async remove({ principalKind, principalId, policyType, policyName }) {
      const done = await db
        .deleteFrom('attachments')
        .where('principalKind', '=', principalKind)
        .where('principalId', '=', principalId)
        .where('policyType', '=', policyType)
        .where('policyName', '=', policyName)
        .executeTakeFirst()
      return done.numDeletedRows > 0n
    },
    ofPrincipal: ({ principalKind, principalId }) =>
      attachments
        .where('principalKind', '=', principalKind)
        .where('principalId', '=', principalId)
        .orderBy('policyType')
        .orderBy('policyName')
        .execute(),
    ofPolicy: ({ policyType, policyName }) =>
      attachments
        .where('policyType', '=', policyType)
        .where('policyName', '=', policyName)
        .orderBy('attachedMs')
        .orderBy('principalId')
        .execute(),
    async countByPolicy(policyType, names) {
      if (names.length === 0) return new Map()
      const rows = await db
        .selectFrom('attachments')
        .select(['policyName', (part) => part.fn.countAll<number>().as('n')])
        .where('policyType', '=', policyType)
        .where('policyName', 'in', names)
        .groupBy('policyName')
        .execute()
      return new Map(rows.map(({ policyName, n }) => [policyName, Number(n)]))
    },
  }
}
