import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = mkdtempSync(join(tmpdir(), 'tintype-package-'))
after(() => rmSync(root, { recursive: true }))

test('the package that npm packs installs a working tintype, and is removed without a trace', async () => {
  await run('npm', ['pack', '--pack-destination', root])
  const [name] = readdirSync(root)
  const prefix = join(root, 'prefix')
  // npm itself runs on whatever Node the machine has; the package brings the one that Tintype needs.
  const npm = (...args: string[]) => run('npm', [...args, '--global', '--prefix', prefix, '--no-audit', '--no-fund'])
  await npm('install', join(root, name!))
  const program = join(prefix, 'bin/tintype')
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: root }

  const { stdout } = await run(program, ['--version'], { env })
  assert.match(stdout, /^tintype \d+\.\d+\.\d+\n$/)
  // On a host without an engine doctor ends with 5, and says so in the same form.
  const doctor = await run(program, ['doctor', '--json'], { env }).catch((error: { stdout: string }) => error)
  const { checks } = JSON.parse(doctor.stdout)
  assert.deepEqual(checks.find((check: { name: string }) => check.name === 'node').ok, true)
  const usage = await run(program, ['snapshot', 'box'], { env }).catch(
    (error: { code: number; stderr: string }) => error,
  )
  assert.deepEqual('code' in usage && usage.code, 2)
  assert.match(
    usage.stderr,
    /^tintype: tintype snapshot needs REFERENCE: write "tintype snapshot CONTAINER REFERENCE"\.\n$/,
  )

  await npm('uninstall', 'tintype')
  assert.deepEqual([existsSync(program), existsSync(join(prefix, 'lib/node_modules/tintype'))], [false, false])
})
