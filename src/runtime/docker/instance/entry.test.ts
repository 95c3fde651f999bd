/** The script that every instance starts with. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runProgram } from '#base/process.ts'
import { ENTRY_DIRECTORY, SYSTEM_MARK, writeEntry, type EntrySpec } from './entry.ts'

// busybox is what the engines' tests run it under.
const SHELLS = [
  ['sh', ['sh']],
  ['bash as sh', ['bash', '--posix']],
] as const

/** Run it as an instance would, with its directory elsewhere: as long as `command` takes, at least ten seconds in its eyes. */
async function runEntry(shell: readonly string[], spec: Partial<EntrySpec>, command: readonly string[]) {
  const directory = mkdtempSync(join(tmpdir(), 'tintype-entry-'))
  try {
    await writeEntry(join(directory, 'instance'), { accessToken: 't', basePath: '/b/', ...spec })
    const path = join(directory, 'instance/entry')
    const script = readFileSync(path, 'utf8')
      .replaceAll(ENTRY_DIRECTORY, join(directory, 'instance'))
      .replaceAll('-ge 10', '-ge 0') // no command ends at once
    writeFileSync(path, script)
    const [program = '', ...args] = shell
    const { exitCode, stdout, stderr } = await runProgram(program, [...args, path, ...command], { timeoutMs: 60_000 })
    const lines = stdout.toString().split('\n').slice(0, -1)
    const isSystem = (line: string) => line.startsWith(SYSTEM_MARK)
    const system = lines.filter(isSystem).map((line) => line.slice(SYSTEM_MARK.length))
    return { exitCode, stderr, system, output: lines.filter((line) => !isSystem(line)) }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

for (const [name, shell] of SHELLS)
  test(`under ${name}`, async (t) => {
    await t.test('the command runs with its arguments as they are, and its code is handed on', async () => {
      const command = ['sh', '-c', 'printf "<%s>\\n" "$@"; exit 9', 'sh', `a'b`, '$HOME', '', 'two  spaces', '*']
      const { exitCode, output, stderr } = await runEntry(shell, {}, command)
      assert.deepEqual(output, [`<a'b>`, '<$HOME>', '<>', '<two  spaces>', '<*>'])
      assert.deepEqual([exitCode, stderr], [9, ''])
    })

    await t.test('OnStart runs beside it, marked line by line', async () => {
      const onStart = `printf '%s\\n' "back\\\\slash" '  spaces  ' '-n' '%s'; echo error >&2; exit 4`
      const { system, output, stderr } = await runEntry(shell, { onStart }, ['sh', '-c', 'sleep 0.5; echo mine'])
      const wanted = ['back\\slash', '  spaces  ', '-n', '%s', 'error', 'OnStart has ended with 4.']
      assert.deepEqual([...system].sort(), [...wanted].sort())
      assert.deepEqual([output, stderr], [['mine'], ''])
    })

    await t.test('the command has no part in the way that stops are told', async () => {
      const { output } = await runEntry(shell, {}, ['sh', '-c', 'echo "${TINI_KILL_PROCESS_GROUP-unset}"; trap'])
      assert.deepEqual(output, ['unset'])
    })
  })

test('what an instance reads is closed to the host, and open inside', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tintype-entry-'))
  const directory = join(home, 'instances/dsw-1')
  await writeEntry(directory, { accessToken: 't', basePath: '/b/' })
  const mode = (path: string) => statSync(path).mode & 0o777
  assert.deepEqual([mode(join(home, 'instances')), mode(directory)], [0o700, 0o755])
  assert.deepEqual([readFileSync(join(directory, 'on-start'), 'utf8'), mode(join(directory, 'entry'))], ['', 0o755])
  rmSync(home, { recursive: true })
})
