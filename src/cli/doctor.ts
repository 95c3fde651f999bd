import { toAppError } from '#base/errors.ts'
import { parseArguments } from './arguments.ts'
import { HOST_CHECKS } from './doctor-checks.ts'
import type { Finding, Host } from './doctor-checks.ts'
import type { Terminal } from './terminal.ts'
import { encodeJsonLine, escapeText } from './text.ts'

/** What `doctor` found about one thing. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  /** False: Tintype works without it, only not as well. */
  readonly needed: boolean
  readonly found: string
  /** What to do; empty when there is nothing to do. */
  readonly remedy: string
}

export interface DoctorParts {
  readonly terminal: Terminal
  readonly host: Host
  /** Thaws what a killed run left frozen; says what it did, a sentence each. */
  readonly thawLeftovers: () => Promise<readonly string[]>
  /** Whether the registry of a reference answers, and what it says of it. Throws AppError. */
  readonly checkRegistry: (reference: string, signal: AbortSignal) => Promise<string>
}

/** What may be written after the command's name. */
export const DOCTOR_SYNTAX = { command: 'doctor', positionals: ['[REFERENCE]'], options: { json: 'flag' } } as const
const UNFIT = 5 // as a snapshot that this host cannot make: refused

/** `tintype doctor [REFERENCE]`: what this host can do, and what to do about the rest. The exit code: 0, or 5 when something needed is missing. */
export async function runDoctor(args: readonly string[], parts: DoctorParts, signal: AbortSignal): Promise<number> {
  const given = parseArguments(DOCTOR_SYNTAX, args)
  const checks: Check[] = []
  for (const { name, isNeeded, look } of HOST_CHECKS) {
    const finding = await look(parts.host, signal).catch(failedFinding)
    checks.push({ name, needed: isNeeded, ...finding })
  }
  checks.push({ name: 'leftover freezes', needed: true, ...(await lookForLeftovers(parts).catch(failedFinding)) })
  const [reference] = given.positionals
  if (reference !== undefined)
    checks.push({
      name: 'registry',
      needed: true,
      ...(await lookAtRegistry(reference, parts, signal).catch(failedFinding)),
    })

  const isFit = checks.every(({ ok, needed }) => ok || !needed)
  if (given.hasFlag('json')) parts.terminal.out(encodeJsonLine({ ok: isFit, checks }))
  else parts.terminal.out(describeChecks(checks, isFit))
  return isFit ? 0 : UNFIT
}

/** A check that could not be made is a finding, too: the other checks still help. But the user may end it. */
function failedFinding(error: unknown): Finding {
  const { code, message } = toAppError(error)
  if (code === 'cancelled') throw error
  // Our sentences say what is the matter, then, after a colon, what to do.
  const colon = message.lastIndexOf(': ')
  const [found, remedy] = colon < 0 ? [message, ''] : [`${message.slice(0, colon)}.`, message.slice(colon + 2)]
  return { ok: false, found, remedy: remedy.charAt(0).toUpperCase() + remedy.slice(1) }
}

async function lookForLeftovers({ thawLeftovers }: DoctorParts): Promise<Finding> {
  const found = await thawLeftovers()
  return { ok: true, found: found.length === 0 ? 'none' : found.join(' '), remedy: '' }
}

async function lookAtRegistry(
  reference: string,
  { checkRegistry }: DoctorParts,
  signal: AbortSignal,
): Promise<Finding> {
  return { ok: true, found: await checkRegistry(reference, signal), remedy: '' }
}

function describeChecks(checks: readonly Check[], isFit: boolean): string {
  const width = Math.max(...checks.map(({ name }) => name.length))
  const lines = checks.flatMap(({ name, ok, needed, found, remedy }) => {
    const mark = ok ? 'ok     ' : needed ? 'MISSING' : 'better '
    const line = `${mark}  ${name.padEnd(width)}  ${escapeText(found)}`
    return remedy === '' ? [line] : [line, `${' '.repeat(width + 11)}-> ${escapeText(remedy)}`]
  })
  const end = isFit
    ? 'This host can save containers.'
    : 'This host cannot save containers yet: see the lines with MISSING.'
  return `${[...lines, '', end].join('\n')}\n`
}
