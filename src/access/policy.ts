/** RAM policy documents (version 1): parsed once, with all that can be wrong with them refused, and compiled. */
import { AppError } from '#base/errors.ts'
import { parseArn } from './arn.ts'
import type { Arn } from './arn.ts'
import { compileGlob } from './glob.ts'
import type { Matcher } from './glob.ts'
import { repeatedKey } from './json-keys.ts'
import { parseConditions } from './policy-conditions.ts'
import type { Condition } from './policy-conditions.ts'

/** Characters of a document (RAM, CreatePolicy). */
export const POLICY_LIMIT = 6144

export type Effect = 'Allow' | 'Deny'

/** What both kinds of statements have. */
interface Rule {
  readonly effect: Effect
  /** Whether Action (or NotAction) names an action. Ask in lower case. */
  readonly coversAction: Matcher
  /** All must hold. */
  readonly conditions: readonly Condition[]
}

export interface Statement extends Rule {
  /** The actions that are named are those that it does not speak of. */
  readonly isNotAction: boolean
  readonly coversResource: (arn: Arn | '*') => boolean
}

/** The policy of an identity or of a session. */
export interface Policy {
  readonly statements: readonly Statement[]
}

export interface TrustStatement extends Rule {
  /** ARNs of accounts (`…:root`), users and roles. */
  readonly principals: readonly string[]
}

/** Who may assume a role. */
export interface TrustPolicy {
  readonly statements: readonly TrustStatement[]
}

type Fields = Readonly<Record<string, unknown>>

/**
 * The policy that a document says. Throws `policy_invalid`, naming what is wrong: nothing is skipped, because a Deny
 * that is not understood would be an Allow.
 */
export function parsePolicy(text: string): Policy {
  return { statements: parseStatements(text).map(parseStatement) }
}

/** The trust policy of a role: Principal instead of Resource. Throws `policy_invalid`. */
export function parseTrustPolicy(text: string): TrustPolicy {
  return { statements: parseStatements(text).map(parseTrustStatement) }
}

function refuse(what: string): never {
  throw new AppError('policy_invalid', `The policy document is not valid: ${what}.`)
}

function parseStatements(text: string): readonly Fields[] {
  if (text.length > POLICY_LIMIT) refuse(`it has ${text.length} characters, more than ${POLICY_LIMIT}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    refuse('it is no JSON')
  }
  const repeated = repeatedKey(text)
  if (repeated !== undefined) refuse(`"${repeated}" is there twice in one object`)
  const document = fieldsOf(value, 'it', ['Version', 'Statement'])
  if (document['Version'] !== '1') refuse('Version must be "1"')
  const list = document['Statement']
  if (!Array.isArray(list) || list.length === 0) return refuse('Statement must be a list with at least one statement')
  const known = ['Effect', 'Action', 'NotAction', 'Resource', 'Principal', 'Condition']
  return list.map((one: unknown) => fieldsOf(one, 'a statement', known))
}

function fieldsOf(value: unknown, what: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(`${what} must be an object`)
  for (const name of Object.keys(value)) if (!known.includes(name)) refuse(`the element "${name}" is not supported`)
  return value as Fields
}

function parseStatement(fields: Fields): Statement {
  if (fields['Principal'] !== undefined) refuse('Principal belongs in trust policies only')
  if (fields['Resource'] === undefined) refuse('a statement must have a Resource')
  const isNotAction = fields['Action'] === undefined
  if (isNotAction === (fields['NotAction'] === undefined))
    refuse('a statement must have exactly one of Action and NotAction')
  const rule = parseRule(fields, isNotAction ? 'NotAction' : 'Action')
  const resources = textsOf(fields['Resource'], 'Resource').map(compileResource)
  return { ...rule, isNotAction, coversResource: (arn) => resources.some((covers) => covers(arn)) }
}

function parseTrustStatement(fields: Fields): TrustStatement {
  if (fields['Resource'] !== undefined) refuse('a trust policy has no Resource')
  if (fields['NotAction'] !== undefined) refuse('a trust policy has no NotAction')
  return { ...parseRule(fields, 'Action'), principals: parsePrincipals(fields['Principal']) }
}

function parseRule(fields: Fields, actionElement: 'Action' | 'NotAction'): Rule {
  const effect = fields['Effect']
  if (effect !== 'Allow' && effect !== 'Deny') return refuse('Effect must be Allow or Deny')
  const actions = textsOf(fields[actionElement], actionElement).map(compileAction)
  const conditions = parseConditions(fields['Condition'], refuse)
  return { effect, coversAction: (name) => actions.some((covers) => covers(name)), conditions }
}

function textsOf(value: unknown, element: string): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  const texts = list.filter((one) => typeof one === 'string' && one !== '') as string[]
  if (texts.length === 0 || texts.length < list.length) refuse(`${element} must be a text or a list of texts`)
  return texts
}

function compileAction(pattern: string): Matcher {
  if (pattern !== '*' && !/^[\w*?-]+:[\w*?-]+$/.test(pattern))
    refuse(`the action "${pattern}" must be of the form SERVICE:NAME, or *`)
  return compileGlob(pattern.toLowerCase())
}

/** Each part of an ARN is matched by itself, so that a `*` never reaches over a colon into an account's number. */
function compileResource(pattern: string): (arn: Arn | '*') => boolean {
  if (pattern === '*') return () => true
  const parts = arnOf(pattern)
  const service = compileGlob(parts.service.toLowerCase())
  const region = compileGlob(parts.region)
  const accountId = compileGlob(parts.accountId)
  const relativeId = compileGlob(parts.relativeId)
  return (arn) =>
    arn !== '*' &&
    service(arn.service.toLowerCase()) &&
    region(arn.region) &&
    accountId(arn.accountId) &&
    relativeId(arn.relativeId)
}

function arnOf(pattern: string): Arn {
  try {
    return parseArn(pattern)
  } catch {
    return refuse(`the resource "${pattern}" must be of the form acs:SERVICE:REGION:ACCOUNT:ID, or *`)
  }
}

/** Services and identity providers are of the hosted service: a document may name them, nobody here is one. */
function parsePrincipals(value: unknown): readonly string[] {
  if (value === undefined) return refuse('a trust policy must have a Principal')
  const fields = fieldsOf(value, 'Principal', ['RAM', 'Service', 'Federated'])
  const all = Object.entries(fields).flatMap(([kind, list]) =>
    textsOf(list, `Principal ${kind}`).map((name) => ({ kind, name })),
  )
  if (all.length === 0) refuse('Principal must name somebody')
  const ofRam = all.flatMap(({ kind, name }) => (kind === 'RAM' ? [name] : []))
  for (const name of ofRam)
    if (!/^acs:ram::[A-Za-z0-9-]+:(root|(user|role)\/[\w.@-]+)$/.test(name))
      refuse(`the principal "${name}" must be acs:ram::ACCOUNT:root, :user/NAME or :role/NAME`)
  return ofRam
}
