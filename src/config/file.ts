import { readFile } from 'node:fs/promises'
import { Type } from 'typebox'
import { Check } from 'typebox/value'
import { parseDocument, visit } from 'yaml'
import { AppError, systemCode } from '#base/errors.ts'
import type { RawValue } from './values.ts'

const Scalar = Type.Union([Type.String(), Type.Boolean()])
const Entry = Type.Union([Scalar, Type.Array(Scalar), Type.Null()])
const ConfigFile = Type.Union([Type.Record(Type.String(), Entry), Type.Null()])

/**
 * The values of a YAML file, under the names of the environment. A key without a value counts as unset.
 * Throws `config_invalid` for a file that cannot be read, is no YAML mapping, or has a key that is not in `names`.
 */
export async function readConfigFile(path: string, names: readonly string[]): Promise<ReadonlyMap<string, RawValue>> {
  const entries = parseEntries(path, await readText(path))
  const known = new Map(names.map((name) => [name.toLowerCase(), name]))
  const values = new Map<string, RawValue>()
  for (const [key, value] of Object.entries(entries)) {
    const name = known.get(key)
    if (name === undefined) throw unknownKey(path, key, [...known.keys()])
    if (value !== null) values.set(name, Array.isArray(value) ? value.map(textOf) : textOf(value))
  }
  return values
}

type ScalarValue = string | boolean

// YAML 1.2 reads `off` as text, but `true` as what it is: it goes back to the text that the environment has.
const textOf = (value: ScalarValue) => String(value)

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const why = systemCode(cause) === 'ENOENT' ? 'does not exist' : `cannot be read (${systemCode(cause)})`
    throw new AppError('config_invalid', `The configuration file ${path} ${why}: name another with --config.`, {
      cause,
    })
  }
}

function parseEntries(path: string, text: string): Readonly<Record<string, ScalarValue | ScalarValue[] | null>> {
  const document = parseDocument(text, { prettyErrors: true })
  const [error] = document.errors
  if (error) {
    const line = error.linePos?.[0].line ?? 1
    const what = error.message.split('\n')[0]?.replace(/ at line .*$/, '')
    throw new AppError('config_invalid', `The configuration file ${path} is no YAML: ${what} in line ${line}.`)
  }
  // Digits are text, as in the environment: an account's id may begin with 0, and a number is exact to 2^53 only.
  visit(document, {
    Scalar: (_, node) => {
      if (typeof node.value === 'number') node.value = node.source
    },
  })
  const value: unknown = document.toJS({ maxAliasCount: 0 })
  if (!Check(ConfigFile, value))
    throw new AppError(
      'config_invalid',
      `The configuration file ${path} must hold lines such as "tintype_home: /srv/tintype", each with one value or a list.`,
    )
  return value ?? {}
}

function unknownKey(path: string, key: string, known: readonly string[]): AppError {
  const lower = key.toLowerCase()
  const hint = known.includes(lower) ? `write it as ${lower}` : `the keys are ${known.join(', ')}`
  return new AppError(
    'config_invalid',
    `The configuration file ${path} has the unknown key ${JSON.stringify(key)}: ${hint}.`,
    {
      details: { field: key },
    },
  )
}
