import { realpath, stat } from 'node:fs/promises'
import { isAbsolute, normalize, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemCode } from '#base/errors.ts'
import type { DatasetMount } from '#store/instance-record.ts'
import type { DatasetDraft } from './draft.ts'
import { invalid } from './invalid.ts'

/** Where nothing of a dataset may be mounted: an instance lives on these. */
const RESERVED = [
  '/',
  '/mnt/workspace',
  '/proc',
  '/sys',
  '/dev',
  '/etc',
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib64',
  '/.tintype',
]

/** The kernel's, and ours: not below them either. */
const CLOSED = /^\/(?:proc|sys|dev|\.tintype)(?:\/|$)/

/**
 * The datasets as directories of this host, below the paths that the administrator has listed (TINTYPE_DATASET_PATHS).
 * Symbolic links are followed before the comparison, so that none leads out of the list. Throws `parameter_invalid`.
 */
export async function resolveDatasets(
  drafts: readonly DatasetDraft[],
  allowed: readonly string[],
): Promise<readonly DatasetMount[]> {
  const mounts: DatasetMount[] = []
  for (const [index, draft] of drafts.entries()) {
    const field = `Datasets[${index}]`
    const mountPath = checkMountPath(`${field}.MountPath`, draft.mountPath)
    if (mounts.some((other) => other.mountPath === mountPath))
      throw invalid(`${field}.MountPath`, 'is that of another dataset: give each its own')
    const { uri } = draft
    if (uri === undefined || draft.datasetId !== undefined)
      throw invalid(`${field}.DatasetId`, 'cannot be used: this server has no dataset catalogue, give a file:// Uri')
    const source = await resolveSource(`${field}.Uri`, uri, allowed)
    mounts.push({ uri, mountPath, access: draft.access ?? 'RW', source })
  }
  return mounts
}

/** Look again, when the container is made: what was a directory may be a link by now. Throws `parameter_invalid`. */
export async function recheckSource(mount: DatasetMount, allowed: readonly string[]): Promise<string> {
  const source = await resolveSource('Datasets.Uri', mount.uri, allowed)
  if (source === mount.source) return source
  throw invalid('Datasets.Uri', `${mount.uri} leads to another directory than when it was given: update the instance`)
}

function checkMountPath(field: string, path: string | undefined): string {
  if (path === undefined || !isAbsolute(path)) throw invalid(field, 'must be an absolute path such as /mnt/data')
  const plain = normalize(path).replace(/(?<=.)\/+$/, '')
  if (path.split('/').includes('..') || /[:\n\0]/.test(path))
    throw invalid(field, 'must not have "..", ":" or line breaks in it')
  if (RESERVED.includes(plain) || CLOSED.test(plain))
    throw invalid(field, `cannot be ${plain}: the instance lives on what is there`)
  return plain
}

async function resolveSource(field: string, uri: string, allowed: readonly string[]): Promise<string> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(uri)?.[1]?.toLowerCase()
  if (scheme !== 'file')
    throw invalid(
      field,
      `has the scheme ${JSON.stringify(scheme ?? '')}: this server mounts file:// paths of its host only`,
    )
  const path = pathOf(field, uri)
  const notAllowed = invalid(field, 'is not below a path that TINTYPE_DATASET_PATHS lists')
  // Before the disk is asked: whether a path outside of the list exists is nobody's business.
  if (!allowed.some((root) => isBelow(path, normalize(root)))) throw notAllowed
  const roots = await Promise.all(allowed.map((root) => realpath(root).catch(() => undefined)))
  const real = await resolveDirectory(field, path)
  if (roots.some((root) => root !== undefined && isBelow(real, root))) return real
  throw notAllowed
}

function pathOf(field: string, uri: string): string {
  try {
    const url = new URL(uri)
    if (url.host === '' && url.search === '' && url.hash === '' && url.username === '')
      return normalize(fileURLToPath(url))
  } catch {
    // Said below.
  }
  throw invalid(field, 'must be like file:///data/set, with three slashes and nothing after the path')
}

async function resolveDirectory(field: string, path: string): Promise<string> {
  try {
    const real = await realpath(path)
    if ((await stat(real)).isDirectory()) return real
  } catch (error) {
    if (systemCode(error) === undefined) throw error
  }
  throw invalid(field, 'is no directory that the server can read')
}

function isBelow(path: string, root: string): boolean {
  const plain = root.replace(/(?<=.)\/+$/, '')
  return path === plain || path.startsWith(plain === sep ? sep : plain + sep)
}
