import { AppError } from '#base/errors.ts'

/** The bytes of a path, one char a byte: exact for every name, and quick to compare. */
export type BytePath = string

/**
 * Exclusions as the walk asks for them: the names to leave out of a directory. A path is a file or a whole directory;
 * there are no globs (PAI-DSW `ExcludePaths`).
 */
export type Exclusions = ReadonlyMap<BytePath, ReadonlySet<string>>

/** A path of text as bytes. */
export function toBytePath(text: string): BytePath {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** `path` without doubled and trailing slashes. Throws `exclusion_invalid` unless it is absolute, below `/`, without `.` and `..`. */
export function parseExclusion(path: string): BytePath {
  const invalid = (why: string) =>
    new AppError('exclusion_invalid', `The exclusion ${JSON.stringify(path)} ${why}.`, { details: { path } })
  if (!path.startsWith('/')) throw invalid('must be an absolute path in the container, such as /root/.cache')
  if (path.includes('\0')) throw invalid('has a NUL byte, which no path can have')
  const parts = path.split('/').filter((part) => part !== '')
  if (parts.some((part) => part === '.' || part === '..')) throw invalid('has a "." or ".." part: write the path out')
  if (parts.length === 0) throw invalid('leaves nothing to save: name something below /')
  return toBytePath(`/${parts.join('/')}`)
}

/** Paths by their directory. What lies below another excluded path is covered by it. */
export function groupByDirectory(paths: Iterable<BytePath>): Exclusions {
  const byDirectory = new Map<BytePath, Set<string>>()
  for (const path of paths) {
    const cut = path.lastIndexOf('/')
    const directory = path.slice(0, cut)
    const names = byDirectory.get(directory) ?? new Set<string>()
    byDirectory.set(directory, names.add(path.slice(cut + 1)))
  }
  return byDirectory
}
