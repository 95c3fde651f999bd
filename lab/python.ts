import { createHash } from 'node:crypto'
import { makeOnce } from '#lab/debian-root.ts'
import { ensurePackages } from '#lab/packages.ts'
import { mustRun } from '#lab/workspace.ts'

/** In the checkout, and ignored by git. */
const PYTHON_CACHE = '.cache/python'

/**
 * Packages of PyPI, such as `name==1.2.3`, and what they need, installed once into the checkout's cache. Returns the
 * directory: `PYTHONPATH` for a `python3`. Nothing is installed into the machine's own Python.
 */
export async function pythonPackages(requirements: readonly string[]): Promise<string> {
  const name = createHash('sha256').update(requirements.join('\n')).digest('hex').slice(0, 16)
  return await makeOnce(`${process.cwd()}/${PYTHON_CACHE}/${name}`, async (directory) => {
    await ensurePackages(['python3-pip'])
    process.stderr.write(`Installing ${requirements.join(', ')} from PyPI (once) …\n`)
    const quiet = ['--quiet', '--disable-pip-version-check', '--no-input', '--root-user-action=ignore', '--no-compile']
    await mustRun('python3', ['-m', 'pip', 'install', ...quiet, '--target', directory, ...requirements])
  })
}
