/** Writes docs/api-coverage.md from the contract; with `--check` only says whether it is up to date (exit code 1 if not). */
import { readFileSync, writeFileSync } from 'node:fs'
import { answerCoverage, coverageOf, requestCoverage } from '#contract/coverage.ts'
import type { Remark } from '#contract/coverage.ts'
import { OPERATIONS } from '#contract/operations.ts'
import type { Operation, Product } from '#contract/operation.ts'

const FILE = 'docs/api-coverage.md'
const TITLES: Readonly<Record<Product, string>> = {
  'pai-dsw': 'PAI-DSW, version 2022-01-01',
  aiworkspace: 'Images: AIWorkSpace, version 2021-02-04',
  ram: 'Users, keys, policies, roles: RAM, version 2015-05-01',
  sts: 'Short-lived credentials: STS, version 2015-04-01',
  tintype: 'Extensions: Tintype, version 2026-11-01',
}
const operations: readonly Operation[] = Object.values(OPERATIONS)

function coverageDocument(): string {
  const products = Object.keys(TITLES) as Product[]
  return [
    '# What works of the API',
    '',
    'This file is made from the contract (`sh scripts/run.sh scripts/api-coverage.ts`), and a test holds it to it. *Works*:',
    'as documented, or with the limit that is said. *Ignored*: accepted, so that clients need not be changed, and without',
    'effect. *Refused*: an error that says why. A field of an answer that is *absent* is never there; all others are.',
    '',
    ...totals(products),
    ...products.flatMap(productSection),
  ].join('\n')
}

function totals(products: readonly Product[]): readonly string[] {
  const rows = products.map((product) => {
    const own = operations.filter((operation) => operation.product === product)
    const [works, , refused] = counts(own.map((operation) => coverageOf(operation).remark))
    const request = counts(own.flatMap(requestCoverage).map(({ entry }) => entry?.says))
    const answer = own.flatMap(answerCoverage)
    const absent = answer.filter(({ entry }) => entry !== undefined).length
    return `| ${[TITLES[product], works, refused, ...request, answer.length - absent, absent].join(' | ')} |`
  })
  return [
    '| | operations that work | refused | fields of requests that work | ignored | refused | fields of answers | absent |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ]
}

function counts(remarks: readonly (Remark | undefined)[]): readonly number[] {
  const kinds = remarks.map((remark) => remark?.coverage ?? 'works')
  return (['works', 'ignored', 'refused'] as const).map((kind) => kinds.filter((other) => other === kind).length)
}

function productSection(product: Product): readonly string[] {
  const own = operations.filter((operation) => operation.product === product)
  return [`## ${TITLES[product]}`, '', ...own.flatMap(operationSection)]
}

function operationSection(operation: Operation): readonly string[] {
  const { action, method, path, summary, style } = operation
  const { remark } = coverageOf(operation)
  const verdict = remark === undefined ? 'Works.' : `${capital(remark.coverage)}: ${remark.reason}.`
  const request = requestCoverage(operation)
  const plain = request.filter(({ entry }) => entry === undefined).map((field) => `\`${field.path}\``)
  const remarks = request.flatMap(({ entry }) =>
    entry ? [line(entry.says.coverage, entry.says.reason, entry.name)] : [],
  )
  const absent = answerCoverage(operation).flatMap(({ entry }) =>
    entry ? [line('absent', entry.says, entry.name)] : [],
  )
  const lines = [...(plain.length > 0 ? [`- works: ${plain.join(', ')}`] : []), ...grouped([...remarks, ...absent])]
  return [
    `### ${action}`,
    '',
    ...(style === 'ROA' ? [`\`${method} ${path}\``, ''] : []),
    `${summary} **${verdict}**`,
    '',
    ...lines,
    ...(lines.length > 0 ? [''] : []),
  ]
}

interface Line {
  readonly kind: string
  readonly reason: string
  readonly name: string
}

function line(kind: string, reason: string, name: string): Line {
  return { kind, reason, name }
}

/** One line for each reason, with all fields that it is the reason of. */
function grouped(lines: readonly Line[]): readonly string[] {
  const groups = Map.groupBy(lines, ({ kind, reason }) => `${kind} ${reason}`)
  return [...groups.values()].map((group) => {
    const names = new Set(group.map(({ name }) => `\`${name}\``))
    const [{ kind, reason } = line('', '', '')] = group
    return `- ${kind}: ${[...names].join(', ')} (${reason})`
  })
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}

const text = coverageDocument()
if (!process.argv.includes('--check')) writeFileSync(FILE, text)
else if (readFileSync(FILE, 'utf8') !== text) {
  console.error(`${FILE} is not what the contract says; run: sh scripts/run.sh scripts/api-coverage.ts`)
  process.exit(1)
}
