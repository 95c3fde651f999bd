/** The Condition element of RAM policies: `{operator: {key: [values]}}`; operators and keys all hold, one value is enough. */
import { BlockList, isIP } from 'node:net'
import { compileGlob } from './glob.ts'
import type { Matcher } from './glob.ts'

/**
 * What is known of a request, by condition key: `acs:SourceIp`, `acs:SecureTransport`, `acs:CurrentTime` (ISO 8601),
 * `acs:PrincipalARN`, `tintype:Repository` …. A key that is not known is left out.
 */
export type ContextValues = Readonly<Record<string, string | readonly string[]>>

/** The same, prepared for asking. */
export type Context = ReadonlyMap<string, readonly string[]>

/** One line of a Condition element, compiled. */
export type Condition = (context: Context) => boolean

interface Operator {
  /** The test for one value of the policy; undefined when the value is not of the operator's kind. */
  readonly compile: (value: string) => Matcher | undefined
  readonly kind: string
  readonly isNegated?: boolean
  readonly takesOne?: boolean
}

const equal = (wanted: string): Matcher => {
  return (actual) => actual === wanted
}
const equalIgnoreCase = (wanted: string): Matcher => {
  const folded = wanted.toLowerCase()
  return (actual) => actual.toLowerCase() === folded
}

/** An operator that compares numbers, or times as numbers. What is none never matches. */
const comparing =
  (parse: (text: string) => number, holds: (actual: number, wanted: number) => boolean) => (value: string) => {
    const wanted = parse(value)
    if (Number.isNaN(wanted)) return undefined
    return (actual: string) => holds(parse(actual), wanted)
  }

const parseNumber = (text: string) => (/^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : NaN)

/** ISO 8601 with a zone, seconds or finer, in ms since 1970. */
const parseTime = (text: string) =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : NaN

function compileBool(value: string): Matcher | undefined {
  return /^(true|false)$/i.test(value) ? equalIgnoreCase(value) : undefined
}

/** An address or a network in CIDR form, of IPv4 or IPv6. An IPv4 address in IPv6 clothes is the IPv4 address. */
function compileNetwork(value: string): Matcher | undefined {
  const [address = '', prefix, ...rest] = value.split('/')
  const family = familyOf(address)
  if (family === undefined || rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return undefined
  const bits = family === 'ipv4' ? 32 : 128
  const length = Number(prefix ?? bits)
  if (length > bits) return undefined
  const networks = new BlockList()
  networks.addSubnet(address, length, family)
  return (actual) => {
    const actualFamily = familyOf(actual)
    return actualFamily !== undefined && networks.check(actual, actualFamily)
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = address.includes('%') ? 0 : isIP(address) // a zone is of this host alone
  return version === 4 ? 'ipv4' : version === 6 ? 'ipv6' : undefined
}

const NUMBERS = {
  Equals: (actual: number, wanted: number) => actual === wanted,
  LessThan: (actual: number, wanted: number) => actual < wanted,
  LessThanEquals: (actual: number, wanted: number) => actual <= wanted,
  GreaterThan: (actual: number, wanted: number) => actual > wanted,
  GreaterThanEquals: (actual: number, wanted: number) => actual >= wanted,
} as const

function comparisons(family: string, kind: string, parse: (text: string) => number): [string, Operator][] {
  const plain = Object.entries(NUMBERS).map(([name, holds]): [string, Operator] => [
    `${family}${name}`,
    { compile: comparing(parse, holds), kind },
  ])
  return [...plain, [`${family}NotEquals`, { compile: comparing(parse, NUMBERS.Equals), kind, isNegated: true }]]
}

const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ['StringEquals', { compile: equal, kind: 'text' }],
  ['StringNotEquals', { compile: equal, kind: 'text', isNegated: true }],
  ['StringEqualsIgnoreCase', { compile: equalIgnoreCase, kind: 'text' }],
  ['StringNotEqualsIgnoreCase', { compile: equalIgnoreCase, kind: 'text', isNegated: true }],
  ['StringLike', { compile: compileGlob, kind: 'text' }],
  ['StringNotLike', { compile: compileGlob, kind: 'text', isNegated: true }],
  ...comparisons('Numeric', 'a number', parseNumber),
  ...comparisons('Date', 'a time such as 2026-01-02T03:04:05Z', parseTime),
  ['Bool', { compile: compileBool, kind: 'true or false', takesOne: true }],
  ['IpAddress', { compile: compileNetwork, kind: 'an IP address or CIDR block' }],
  ['NotIpAddress', { compile: compileNetwork, kind: 'an IP address or CIDR block', isNegated: true }],
])

/** `values` prepared for conditions. Names count without their case, but for what follows a `/`: tags have a case. */
export function contextOf(values: ContextValues): Context {
  const context = new Map<string, readonly string[]>()
  for (const [key, value] of Object.entries(values)) {
    const list = typeof value === 'string' ? [value] : value
    if (list.length > 0) context.set(foldKey(key), list)
  }
  return context
}

function foldKey(key: string): string {
  const slash = key.indexOf('/')
  return slash < 0 ? key.toLowerCase() : key.slice(0, slash).toLowerCase() + key.slice(slash)
}

/** Compile a Condition element. `refuse` is called with what is wrong with it, and throws. */
export function parseConditions(condition: unknown, refuse: (what: string) => never): readonly Condition[] {
  if (condition === undefined) return []
  const conditions: Condition[] = []
  for (const [name, keys] of entriesOf(condition) ?? refuse('Condition must be an object')) {
    if (name === 'Null' || name.endsWith('IfExists')) refuse("condition operator 'IfExists/Null' is not supported")
    const operator = OPERATORS.get(name) ?? refuse(`the condition operator "${name}" is not known`)
    const entries = entriesOf(keys)
    if (entries === undefined || entries.length === 0) return refuse(`${name} must be an object with condition keys`)
    for (const [key, values] of entries) conditions.push(compileLine({ name, operator, key, values }, refuse))
  }
  return conditions
}

function entriesOf(value: unknown): [string, unknown][] | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined
}

interface Line {
  readonly name: string
  readonly operator: Operator
  readonly key: string
  readonly values: unknown
}

function compileLine({ name, operator, key, values }: Line, refuse: (what: string) => never): Condition {
  if (!/^[a-z][a-z0-9-]*:./i.test(key)) refuse(`the condition key "${key}" must be of the form SERVICE:NAME`)
  const list: readonly unknown[] = Array.isArray(values) ? values : [values]
  if (list.length === 0) refuse(`${name} ${key} must have a value`)
  if (operator.takesOne && list.length > 1) refuse(`${name} ${key} must have one value`)
  const matchers = list.map((value) => {
    const isScalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    return (isScalar && operator.compile(String(value))) || refuse(`a value of ${name} ${key} is not ${operator.kind}`)
  })
  const folded = foldKey(key)
  const { isNegated = false } = operator
  // A key that the request does not have: what must be equal is not, what must not be equal is not either.
  return (context) => {
    const actual = context.get(folded) ?? []
    return actual.some((value) => matchers.some((matches) => matches(value))) !== isNegated
  }
}
