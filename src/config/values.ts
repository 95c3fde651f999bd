import { isAbsolute, normalize } from 'node:path'
import { AppError } from '#base/errors.ts'

/** One value as it was written: text from the environment, text or a list from a file. */
export type RawValue = string | readonly string[]
/** Where a value was written, as a person would look for it: `TINTYPE_HOME`, or `tintype_home in /etc/tintype.yaml`. */
export type FieldName = string

/** `HOST:PORT` to listen on. Port 0: the system chooses one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** A registry that the server may push to. `plainHttp` false still allows it for loopback (design.md §8). */
export interface AllowedRegistry {
  readonly host: string
  readonly plainHttp: boolean
}

export type Database =
  { readonly kind: 'sqlite'; readonly path: string } | { readonly kind: 'postgres'; readonly url: string }

/** `config_invalid`: "FIELD must be WANTED, not "VALUE"." A value that may hold a secret is left out. */
export function invalidValue(field: FieldName, wanted: string, value?: string): AppError {
  const shown = value === undefined ? '' : `, not ${JSON.stringify(value.slice(0, 100))}`
  return new AppError('config_invalid', `${field} must be ${wanted}${shown}.`, { details: { field } })
}

/** The value as one text. Throws `config_invalid` for a list. */
export function parseText(field: FieldName, value: RawValue): string {
  if (typeof value !== 'string') throw invalidValue(field, 'one value, not a list')
  return value
}

/** An absolute, normalised path. */
export function parsePath(field: FieldName, value: RawValue): string {
  const text = parseText(field, value)
  if (!isAbsolute(text) || text.includes('\0')) throw invalidValue(field, 'an absolute path such as /srv/tintype', text)
  const path = normalize(text)
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

/** A list: separated by commas in the environment, a list or the same text in a file. Empty items do not count. */
export function parseList(value: RawValue): readonly string[] {
  const items = typeof value === 'string' ? value.split(',') : value
  return items.map((item) => item.trim()).filter((item) => item !== '')
}

/** One of `choices`. */
export function parseChoice<const T extends string>(field: FieldName, value: RawValue, choices: readonly T[]): T {
  const text = parseText(field, value)
  const found = choices.find((choice) => choice === text)
  if (found === undefined) throw invalidValue(field, choices.join(' or '), text)
  return found
}

/** A whole number from `min` to `max`, in decimal digits. */
export function parseWhole(field: FieldName, value: RawValue, range: { readonly min: number; readonly max: number }) {
  const text = parseText(field, value)
  const number = /^\d{1,15}$/.test(text) ? Number(text) : -1
  if (number < range.min || number > range.max)
    throw invalidValue(field, `a whole number from ${range.min} to ${range.max}`, text)
  return number
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** A size in bytes: `20GiB` (powers of 1024), `20GB` (powers of 1000), or plain bytes. */
export function parseSize(field: FieldName, value: RawValue): number {
  const text = parseText(field, value)
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text) ?? []
  const factor = UNITS[unit.toLowerCase()]
  const bytes = digits === '' || factor === undefined ? 0 : Math.floor(Number(digits) * factor)
  if (bytes < 1 || !Number.isSafeInteger(bytes)) throw invalidValue(field, 'a size such as 20GiB or 500MB', text)
  return bytes
}

/** `HOST:PORT`; an IPv6 address stands in brackets. */
export function parseListen(field: FieldName, value: RawValue): ListenAddress {
  const text = parseText(field, value)
  const [, v6, name, digits = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? []
  const host = v6 ?? name
  const port = Number(digits)
  if (host === undefined || port > 65_535)
    throw invalidValue(field, 'HOST:PORT such as 127.0.0.1:8080 or [::1]:8080', text)
  return { host, port }
}

/** `sqlite:PATH` or `postgres://…`. The URL may hold a password, so that no message repeats it. */
export function parseDatabase(field: FieldName, value: RawValue): Database {
  const text = parseText(field, value)
  if (text.startsWith('sqlite:')) {
    const path = text.slice('sqlite:'.length)
    if (!isAbsolute(path))
      throw invalidValue(field, 'sqlite: and an absolute path, such as sqlite:/srv/tintype.db', text)
    return { kind: 'sqlite', path: normalize(path) }
  }
  if (/^postgres(ql)?:\/\//.test(text) && URL.canParse(text)) return { kind: 'postgres', url: text }
  throw invalidValue(field, 'sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME')
}

const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/

/** Registry hosts, each `HOST[:PORT]`, or `http://HOST[:PORT]` for one that speaks plain HTTP. */
export function parseRegistries(field: FieldName, value: RawValue): readonly AllowedRegistry[] {
  return parseList(value).map((item) => {
    const plainHttp = item.startsWith('http://')
    const host = (plainHttp ? item.slice('http://'.length) : item).toLowerCase()
    if (!HOST.test(host)) throw invalidValue(field, 'a list of HOST[:PORT] or http://HOST[:PORT], without a path', item)
    return { host, plainHttp }
  })
}

/** Hosts with or without a port, and `*.domain`. */
export function parseHosts(field: FieldName, value: RawValue): readonly string[] {
  return parseList(value).map((item) => {
    const host = item.toLowerCase()
    if (HOST.test(host.replace(/^\*\./, ''))) return host
    throw invalidValue(field, 'a list of HOST, HOST:PORT or *.DOMAIN', item)
  })
}

/** `REGISTRY/REPOSITORY` without a tag: the server makes up the tag. */
export function parseRepository(field: FieldName, value: RawValue): string {
  const text = parseText(field, value)
  const slash = text.indexOf('/')
  const path = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+|\/)[a-z0-9]+)*$/
  if (slash < 1 || !HOST.test(text.slice(0, slash)) || !path.test(text.slice(slash + 1)))
    throw invalidValue(field, 'REGISTRY/REPOSITORY without a tag, such as registry.example.com/team/saved', text)
  return text
}

/** The engine's socket from `DOCKER_HOST`: only `unix://`, since the container's files have to be on this host. */
export function parseDockerHost(field: FieldName, value: RawValue): string {
  const text = parseText(field, value)
  const scheme = 'unix://'
  if (text.startsWith(scheme) && isAbsolute(text.slice(scheme.length))) return normalize(text.slice(scheme.length))
  const found = /^[a-z+]+:\/\//.exec(text)?.[0]
  const wanted = "unix:// and the path of the engine's socket, such as unix:///var/run/docker.sock"
  if (found === undefined || found === scheme) throw invalidValue(field, wanted, text)
  throw invalidValue(
    field,
    `${wanted} (Tintype reads the container's files, so it runs on the engine's own host)`,
    found,
  )
}
