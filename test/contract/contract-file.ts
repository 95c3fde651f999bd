import { readFileSync } from 'node:fs'

/** A field as the official SDK of TypeScript 2.5.0 declares it; the file has those of all operations. */
export interface DocumentedField {
  readonly name: string
  readonly type: 'string' | 'number' | 'boolean' | 'object' | 'array' | 'map'
  readonly format?: 'int32' | 'int64' | 'float' | 'double'
  readonly itemType?: string
  readonly required: boolean
  readonly example?: string | null
  readonly listedValues?: readonly string[]
  readonly wireEncoding?: 'json'
  /** Of an object, or of the items of an array. */
  readonly fields?: readonly DocumentedField[]
}

export interface DocumentedOperation {
  readonly action: string
  readonly version: string
  readonly method: string
  readonly path: string
  readonly style: string
  readonly pathParams: readonly DocumentedField[]
  readonly query: readonly DocumentedField[]
  readonly body: readonly DocumentedField[]
  readonly response: { readonly fields: readonly DocumentedField[] }
}

const file = JSON.parse(readFileSync('test/contract/contract.json', 'utf8')) as Record<
  string,
  { readonly operations: readonly DocumentedOperation[] }
>

/** The 46 operations of PAI-DSW and the 8 of AIWorkSpace, each with its product. */
export const DOCUMENTED = [
  ...file['pai-dsw-20220101']!.operations.map((operation) => ({ product: 'pai-dsw', operation })),
  ...file['aiworkspace-20210204']!.operations.map((operation) => ({ product: 'aiworkspace', operation })),
]
