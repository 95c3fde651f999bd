import { AppError } from '#base/errors.ts'

/** What the router has to know of an operation. `path` holds `{Name}` for each parameter; RPC operations have `/`. */
export interface Routable {
  readonly action: string
  readonly version: string
  readonly method: string
  readonly path: string
}

/** What a request says it wants. The older cores name neither action nor version (dsw-api §10.5). */
export interface Wanted {
  readonly method: string
  /** As it was sent, still percent-encoded. */
  readonly path: string
  readonly action?: string | undefined
  readonly version?: string | undefined
}

export interface Found<T extends Routable> {
  readonly operation: T
  /** Decoded, so that a `%2F` has become a slash. */
  readonly params: Readonly<Record<string, string>>
}

interface Shape<T extends Routable> {
  readonly segments: readonly string[]
  readonly operations: readonly T[]
}

export interface Router<T extends Routable> {
  /** Throws `operation_not_found` (`methods` in its details when only the method is wrong), `request_invalid` for a path that cannot be decoded. */
  find(wanted: Wanted): Found<T>
}

/**
 * Finds operations by method and path, and holds the request to the action and version that it names.
 * A path is matched as it was sent, segment by segment, before anything in it is decoded: `%2F` parts nothing, and
 * `..` is a segment like any other.
 */
export function openRouter<T extends Routable>(operations: readonly T[]): Router<T> {
  const byLength = groupByLength(operations.filter(({ path }) => path !== '/'))
  const rpc = operations.filter(({ path }) => path === '/')
  return {
    find(wanted) {
      if (wanted.path === '/') return { operation: findRpc(rpc, wanted), params: {} }
      const segments = wanted.path.split('/')
      for (const shape of byLength.get(segments.length) ?? []) {
        if (!matches(shape.segments, segments)) continue
        return { operation: choose(shape.operations, wanted), params: paramsOf(shape.segments, segments) }
      }
      throw notFound(wanted)
    },
  }
}

function groupByLength<T extends Routable>(operations: readonly T[]): ReadonlyMap<number, readonly Shape<T>[]> {
  const byPath = Map.groupBy(operations, ({ path }) => path)
  const shapes = [...byPath].map(([path, together]) => ({ segments: path.split('/'), operations: together }))
  // A fixed word goes before a parameter at the same place: /images/labels before /images/{ImageId}.
  const order = (shape: Shape<T>) => shape.segments.map((segment) => (isParameter(segment) ? '1' : '0')).join('')
  shapes.sort((a, b) => (order(a) < order(b) ? -1 : 1))
  return Map.groupBy(shapes, ({ segments }) => segments.length)
}

const isParameter = (segment: string) => segment.startsWith('{')

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    const wanted = pattern[i] ?? ''
    if (isParameter(wanted) ? segments[i] === '' : segments[i] !== wanted) return false
  }
  return true
}

function paramsOf(pattern: readonly string[], segments: readonly string[]): Readonly<Record<string, string>> {
  const params: Record<string, string> = {}
  for (let i = 0; i < pattern.length; i++) {
    const name = pattern[i] ?? ''
    if (isParameter(name)) params[name.slice(1, -1)] = decodeSegment(segments[i] ?? '')
  }
  return params
}

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw new AppError('request_invalid', 'The path is not percent-encoded UTF-8: encode each of its parts again.', {
      cause,
    })
  }
}

function choose<T extends Routable>(operations: readonly T[], wanted: Wanted): T {
  const byMethod = operations.filter(({ method }) => method === wanted.method)
  if (byMethod.length === 0) throw notFound(wanted, [...new Set(operations.map(({ method }) => method))])
  const named = byMethod.find(({ action }) => wanted.action === undefined || action === wanted.action)
  if (named === undefined) throw notFound(wanted)
  if (wanted.version !== undefined && wanted.version !== named.version) throw unknownVersion(wanted, named)
  return named
}

function findRpc<T extends Routable>(operations: readonly T[], wanted: Wanted): T {
  if (wanted.method !== 'POST' && wanted.method !== 'GET') throw notFound(wanted, ['GET', 'POST'])
  const named = operations.filter(({ action }) => action === wanted.action)
  const [first] = named
  if (first === undefined) throw notFound(wanted)
  const found = named.find(({ version }) => version === wanted.version)
  if (found === undefined) throw unknownVersion(wanted, first)
  return found
}

function notFound({ method, path, action }: Wanted, methods: readonly string[] = []): AppError {
  const name = action === undefined ? '' : ` named ${JSON.stringify(action.slice(0, 100))}`
  const hint = methods.length === 0 ? 'check method, path and action.' : `it has ${methods.join(', ')}.`
  return new AppError(
    'operation_not_found',
    `There is no operation ${method} ${JSON.stringify(path.slice(0, 200))}${name}: ${hint}`,
    { details: { wireCode: 'InvalidAction.NotFound', ...(methods.length > 0 && { methods }) } },
  )
}

function unknownVersion({ action, version }: Wanted, { version: has, action: name }: Routable): AppError {
  const given = version === undefined ? 'none was given' : `not ${JSON.stringify(version.slice(0, 40))}`
  return new AppError('request_invalid', `The version of ${action ?? name} must be ${has}, ${given}.`, {
    details: { wireCode: 'InvalidVersion' },
  })
}
