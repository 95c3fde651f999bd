import type { Service } from '#service/service.ts'
import { dswRoutes } from './dsw/dsw.ts'
import { snapshotRoutes } from './dsw/snapshots.ts'
import { registryRoutes } from './extensions/registries.ts'
import { scheduleRoutes } from './extensions/schedules.ts'
import { snapshotExtensionRoutes } from './extensions/snapshots.ts'
import { imageRoutes } from './images/images.ts'
import { ramRoutes } from './ram/ram.ts'
import { stsRoutes } from './ram/sts.ts'
import type { AnyRoute } from './route.ts'

type Areas = Pick<Service, 'identities' | 'instances' | 'snapshots' | 'images' | 'schedules' | 'registries'>

/** Every route of the server: one for each operation of the contract. */
export function routesOf(areas: Areas, { region }: { readonly region: string }): readonly AnyRoute[] {
  const parts = { ...areas, region }
  return [
    ...dswRoutes(parts),
    ...snapshotRoutes(parts),
    ...snapshotExtensionRoutes(parts),
    ...scheduleRoutes(parts),
    ...registryRoutes(parts),
    ...imageRoutes(areas.images),
    ...ramRoutes(areas.identities),
    ...stsRoutes(areas.identities),
  ]
}
