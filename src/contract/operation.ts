import type { TObject, TString } from 'typebox'
import { fields, text } from './schema.ts'

export type Product = 'pai-dsw' | 'aiworkspace' | 'ram' | 'sts' | 'tintype'

/**
 * What an answer carries beside its data. `full`: RequestId, Success, Code, Message, HttpStatusCode; `noStatus`: the same
 * without HttpStatusCode; `requestId` and `requestIdLower`: only that, in this casing; `none`: nothing.
 */
export type Envelope = 'full' | 'noStatus' | 'requestId' | 'requestIdLower' | 'none'

/** Under which name RAM decides. */
export interface RamAction {
  /** `paidsw:CreateInstanceSnapshot`. */
  readonly action: string
  /** Other names of the same right: a policy may use any of them. */
  readonly aliases?: readonly string[]
  /** Allowed unless a policy denies it. */
  readonly defaultAllow?: boolean
}

/** One operation of the API: how it is called, what it takes and gives. Plain data. */
export interface Operation {
  readonly action: string
  readonly product: Product
  readonly version: string
  readonly style: 'ROA' | 'RPC'
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** `/api/v2/instances/{InstanceId}`; `/` for RPC, where only the headers tell operations apart. */
  readonly path: string
  readonly params: TObject
  readonly query: TObject
  /** The query values that are one JSON text. */
  readonly jsonQuery: readonly string[]
  readonly body: TObject | undefined
  /** Without what the envelope adds. For a stream: the data of one event. */
  readonly response: TObject
  readonly envelope: Envelope
  /** The answer is a stream of server-sent events instead of one JSON object. */
  readonly stream: boolean
  readonly ram: RamAction
  /** It changes something or hands out a credential: needs a durable nonce and an audit row. */
  readonly isChange: boolean
  readonly summary: string
}

/** An operation whose schemas are known by type. */
export interface TypedOperation<
  A extends string,
  P extends TObject,
  Q extends TObject,
  B extends TObject | undefined,
  R extends TObject,
> extends Operation {
  readonly action: A
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly response: R
}

type NoFields = TObject<Record<never, never>>
type NamesIn<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}` ? Name | NamesIn<Rest> : never
/** The parameters in a path, all of them texts. */
export type PathParams<Path extends string> = TObject<{ [N in NamesIn<Path>]: TString }>

interface Schemas<Q extends TObject, B extends TObject | undefined, R extends TObject> {
  readonly summary: string
  readonly query?: Q
  readonly jsonQuery?: readonly string[]
  readonly body?: B
  readonly response?: R
  readonly envelope?: Envelope
  readonly stream?: boolean
  readonly ram?: Partial<RamAction>
  readonly isChange?: boolean
}

type AnySchemas = Schemas<TObject, TObject | undefined, TObject>

/** What all operations of one product have in common. */
export interface ProductFacts {
  readonly product: Product
  readonly version: string
  readonly envelope: Envelope
  /** The part of RAM actions before the colon. */
  readonly ramCode: string
}

/** Longer than any id, short enough for an index. */
const ID_LIMIT = 256
/** Parameters of a path whose values are documented. An id is any text: one that nobody has is "not found", not "invalid". */
const PATH_RULES: Readonly<Record<string, TString>> = { CheckType: text({ pattern: '^SSH$', rule: 'SSH' }) }
const NAME_IN_PATH = /\{(\w+)\}/g

/** Describes ROA operations of one product: the method, the path and the schemas. */
export function roaProduct(facts: ProductFacts) {
  function roa<
    const A extends string,
    const Path extends string,
    Q extends TObject = NoFields,
    B extends TObject | undefined = undefined,
    R extends TObject = NoFields,
  >(
    action: A,
    method: Operation['method'],
    path: Path,
    schemas: Schemas<Q, B, R>,
  ): TypedOperation<A, PathParams<Path>, Q, B, R>
  function roa(action: string, method: Operation['method'], path: string, schemas: AnySchemas): Operation {
    const names = [...path.matchAll(NAME_IN_PATH)].map(([, name = '']) => name)
    const params = fields({}, Object.fromEntries(names.map((name) => [name, PATH_RULES[name] ?? id()])))
    const isChange = schemas.isChange ?? method !== 'GET'
    return { ...common(facts, action, schemas), style: 'ROA', method, path, params, isChange }
  }
  return roa
}

/** Describes RPC operations of one product: all parameters are in the query, only headers tell operations apart. */
export function rpcProduct(facts: ProductFacts) {
  function rpc<const A extends string, Q extends TObject = NoFields, R extends TObject = NoFields>(
    action: A,
    schemas: Schemas<Q, undefined, R>,
  ): TypedOperation<A, NoFields, Q, undefined, R>
  function rpc(action: string, schemas: AnySchemas): Operation {
    const isChange = schemas.isChange ?? !/^(?:Get|List)/.test(action)
    return { ...common(facts, action, schemas), style: 'RPC', method: 'POST', path: '/', params: fields({}), isChange }
  }
  return rpc
}

function id(): TString {
  return text({ min: 1, max: ID_LIMIT })
}

function common(facts: ProductFacts, action: string, schemas: AnySchemas) {
  return {
    action,
    product: facts.product,
    version: facts.version,
    query: schemas.query ?? fields({}),
    jsonQuery: schemas.jsonQuery ?? [],
    body: schemas.body,
    response: schemas.response ?? fields({}),
    envelope: schemas.envelope ?? facts.envelope,
    stream: schemas.stream ?? false,
    ram: { action: `${facts.ramCode}:${action}`, ...schemas.ram },
    summary: schemas.summary,
  }
}

/** PAI-DSW, version 2022-01-01. */
export const dsw = roaProduct({ product: 'pai-dsw', version: '2022-01-01', envelope: 'full', ramCode: 'paidsw' })
