/** What overlay keeps outside of the writable layer cannot be saved from it: refused, and the path is named. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { capture } from '#snapshot/capture.ts'
import { OverlayMount } from '../snapshot/overlay-mount.ts'
import { fakeRepository } from '../support/fake-repository.ts'
import { captureOptions, stoppedSource } from '../support/stopped-capture.ts'

const home = mkdtempSync(join(tmpdir(), 'unsupported-'))
after(() => rmSync(home, { recursive: true }))

const inside = (cwd: string, script: string) => execFileSync('sh', ['-ec', script], { cwd })

const ROWS: readonly (readonly [option: string, script: string, path: string])[] = [
  ['redirect_dir=on', 'mv data moved', '/moved'],
  ['redirect_dir=on', 'mkdir -p new/deep; mv data new/deep/moved', '/new/deep/moved'],
  ['metacopy=on', 'chmod 600 data/file', '/data/file'],
]

for (const [option, script, path] of ROWS)
  test(`${option} in use is refused: ${script}`, async () => {
    using overlay = new OverlayMount((lower) => inside(lower, 'mkdir data; echo of the base > data/file'), option)
    inside(overlay.merged, script)
    const target = fakeRepository('r.io/target')
    const source = await stoppedSource(overlay.upper, target)
    const before = new Set(target.manifests.keys())
    await assert.rejects(capture(source, captureOptions(target, home)), (error) => {
      assert.ok(error instanceof AppError)
      assert.deepEqual([error.code, error.details['path']], ['overlay_unsupported', path])
      assert.ok(error.message.includes(path) && error.message.includes(option.replace('=on', '')), error.message)
      return true
    })
    assert.deepEqual(new Set(target.manifests.keys()), before, 'nothing was published')
  })

test('the options alone are no reason: what is whole in the writable layer is saved', async () => {
  using overlay = new OverlayMount(
    (lower) => inside(lower, 'mkdir data; echo of the base > data/file'),
    'redirect_dir=on,metacopy=on',
  )
  inside(overlay.merged, 'echo more >> data/file; mkdir own; mv own moved; echo x > moved/x')
  const target = fakeRepository('r.io/target')
  const captured = await capture(await stoppedSource(overlay.upper, target), captureOptions(target, home))
  assert.ok(target.manifests.has(captured.digest))
})
