/** What a squash takes of memory does not grow with the image: content passes through, headers of files do not stay. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { test } from 'node:test'
import { stackTar, storedTar } from '#lab/layer-stack.ts'
import type { MemberSpec } from '#lab/layer-stack.ts'
import { openLayoutRepository } from '#registry/layout.ts'
import { putStackImage } from '../support/stack-image.ts'

const LAYERS = 5
const FILES = 100 // of a megabyte each
const MOST_KB = 450_000 // as a capture (docs/design.md)

/** Peak memory of `bin/tintype ARGS`, which has to succeed. */
async function peakKilobytes(args: readonly string[], home: string): Promise<number> {
  // Linux keeps the peak of children that have ended; Python can ask for it.
  const script =
    'import resource,subprocess,sys; code=subprocess.call(sys.argv[1:],stdout=2); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)'
  const child = spawn('python3', ['-c', script, 'bin/tintype', ...args], {
    env: { ...process.env, TINTYPE_HOME: home },
  })
  const seen = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (seen.out += chunk))
  child.stderr.on('data', (chunk) => (seen.err += chunk))
  const [code] = await once(child, 'close')
  assert.equal(code, 0, seen.err)
  return Number(seen.out)
}

test('500 MB in five layers', async () => {
  const root = mkdtempSync(join(tmpdir(), 'squash-memory-'))
  try {
    const repository = await openLayoutRepository(join(root, 'layout'))
    const content = randomBytes(1_000_000)
    const layers = Array.from({ length: LAYERS }, (_, layer) => {
      const members: MemberSpec[] = Array.from({ length: FILES }, (_, file) => {
        content.writeUInt32LE(layer * FILES + file)
        return { path: `file-${layer}-${file}`, content: Buffer.from(content) }
      })
      return storedTar(stackTar(members), 'none')
    })
    await putStackImage(repository, layers, { tag: 't' })
    const image = `oci:${join(root, 'layout')}`
    const peak = await peakKilobytes(['squash', `${image}:t`, `${image}:small`, '--quiet'], join(root, 'home'))
    assert.ok(peak < MOST_KB, `${peak} kB`)
    assert.ok(peak > 10_000, 'it was measured')
  } finally {
    rmSync(root, { recursive: true })
  }
})
