import type { Static, TObject } from 'typebox'
import { accountOperations } from './account.ts'
import { extensionOperations } from './extensions.ts'
import { imageOperations } from './images.ts'
import { instanceOperations } from './instances.ts'
import { lifecycleOperations } from './lifecycle.ts'
import { ramOperations } from './ram.ts'
import { shutdownOperations } from './shutdown.ts'
import { snapshotOperations } from './snapshots.ts'
import { stsOperations } from './sts.ts'
import { tempFileOperations } from './temp-files.ts'

/** Every operation of the server, by its action. Action names are unique over all products. */
export const OPERATIONS = {
  ...snapshotOperations,
  ...instanceOperations,
  ...lifecycleOperations,
  ...shutdownOperations,
  ...accountOperations,
  ...tempFileOperations,
  ...imageOperations,
  ...ramOperations,
  ...stsOperations,
  ...extensionOperations,
} as const

export type Action = keyof typeof OPERATIONS

/*
 * The types of all operations as tables. The compiler looks `QueryOf<A>` up in them; from the schemas directly it would
 * work out a hundred of them for every comparison: twenty times the work for all who use it.
 */
type Schemas = typeof OPERATIONS
type ParamsTable = { readonly [A in Action]: Static<Schemas[A]['params']> }
type QueryTable = { readonly [A in Action]: Static<Schemas[A]['query']> }
type BodyTable = { readonly [A in Action]: Schemas[A]['body'] extends infer B extends TObject ? Static<B> : undefined }
type ResponseTable = { readonly [A in Action]: Static<Schemas[A]['response']> }

export type ParamsOf<A extends Action> = ParamsTable[A]
export type QueryOf<A extends Action> = QueryTable[A]
export type BodyOf<A extends Action> = BodyTable[A]
export type ResponseOf<A extends Action> = ResponseTable[A]
