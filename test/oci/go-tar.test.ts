import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { runProgram } from '#base/process.ts'
import { ensurePackages } from '#lab/packages.ts'
import { anyTarHeader, encodeTar } from '#lab/tar-headers.ts'
import { mustRun } from '#lab/workspace.ts'
import type { TarHeader } from '#oci/tar.ts'

const scratch = mkdtempSync(join(tmpdir(), 'tintype-go-'))
const judge = join(scratch, 'read-tar')
const TYPES = { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', directory: '5', fifo: '6' } as const

before(async () => {
  // Any Go will do: it needs nothing but its standard library.
  const hasGo = (await runProgram('sh', ['-c', 'command -v go'])).exitCode === 0
  if (!hasGo) await ensurePackages(['golang-go'])
  const env = { ...process.env, CGO_ENABLED: '0', GO111MODULE: 'off', GOCACHE: join(process.cwd(), '.cache/go/build') }
  await mustRun('go', ['build', '-o', judge, 'test/oci/read-tar.go'], { env })
})
after(() => rmSync(scratch, { recursive: true, force: true }))

const hex = (bytes: Uint8Array | string | undefined) => Buffer.from(bytes ?? []).toString('hex')

/** The line that the judge prints when it reads what the header says. */
function lineOf(header: TarHeader): string {
  const { name, kind, mode, uid, gid, size, mtimeSec, linkName, devMajor, devMinor, xattrs = [] } = header
  const pairs = xattrs.map(([key, value]) => `${hex(key)}=${hex(value)}`).sort()
  const numbers = `${mode.toString(8)} ${uid} ${gid} ${size} ${mtimeSec}`
  return `${hex(name)} ${TYPES[kind]} ${numbers} [${hex(linkName)}] ${devMajor} ${devMinor} ${pairs.join(',')}\n`
}

test('property: Go reads of a layer exactly what was written', async () => {
  const member = anyTarHeader.map((header) => ({ ...header, size: header.size % 3000 }))
  await fc.assert(
    fc.asyncProperty(fc.array(member, { minLength: 1, maxLength: 400 }), async (members) => {
      const { exitCode, stdout, stderr } = await runProgram(judge, [], { input: encodeTar(members) })
      assert.equal(exitCode, 0, stderr)
      assert.equal(stdout.toString(), members.map(lineOf).join(''))
    }),
    { numRuns: 50 },
  )
})

test('Go takes attributes up to the limit that we keep', async () => {
  const xattrs = Array.from({ length: 15 }, (_, at) => [`user.${at}`, Buffer.alloc(65536, at)] as const)
  const header: TarHeader = { ...fc.sample(anyTarHeader, { numRuns: 1, seed: 1 })[0]!, size: 0, xattrs }
  const { exitCode, stdout, stderr } = await runProgram(judge, [], { input: encodeTar([header]) })
  assert.equal(exitCode, 0, stderr)
  assert.equal(stdout.toString(), lineOf(header))
})
