import type { AnyRoute } from '#http/route.ts'
import { accountRoutes } from './account.ts'
import { cloudMonitorRoutes } from './cloud-monitor.ts'
import { instanceBatchRoutes } from './instance-batches.ts'
import { instanceRoutes } from './instances.ts'
import { lifecycleRoutes } from './lifecycle.ts'
import { problemRoutes } from './problems.ts'
import { shutdownRoutes } from './shutdown.ts'
import type { SnapshotRouteParts } from './snapshots.ts'
import { tempFileRoutes } from './temp-files.ts'

/** PAI-DSW 2022-01-01 but its snapshots: everything around instances. */
export function dswRoutes(parts: SnapshotRouteParts): readonly AnyRoute[] {
  return [
    ...instanceRoutes(parts),
    ...instanceBatchRoutes(parts),
    ...lifecycleRoutes(parts),
    ...cloudMonitorRoutes(parts),
    ...problemRoutes(parts),
    ...shutdownRoutes(parts),
    ...accountRoutes(parts),
    ...tempFileRoutes(parts),
  ]
}
