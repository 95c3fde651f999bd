import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Container } from '#lab/container.ts'
import type { Engine } from '#lab/engine.ts'
import { busyboxImage } from '#lab/images.ts'
import type { Registry } from '#lab/registry.ts'
import { mustRun } from '#lab/workspace.ts'
import { BASE, ROWS, SECOND_BASE } from './rows.ts'
import type { Row } from './rows.ts'

const ROWS_PY = fileURLToPath(new URL('rows.py', import.meta.url))

/** A layer that GNU tar has made: what an engine itself cannot keep of an image is seen in it, without any byte of ours. */
const ALONE = `
mkdir -p "$1/alone"; cd "$1"
echo x > alone/old; touch -d 1950-01-01T00:00:00Z alone/old
echo x > alone/far; touch -d 2400-01-01T00:00:00Z alone/far
echo x > alone/attribute; setfattr -n user.empty alone/attribute; setfattr -n user.text -v x alone/attribute
chmod 711 .
tar --format=pax --xattrs --xattrs-include='*' --no-recursion -cf "$1.tar" . alone alone/old alone/far alone/attribute`

/**
 * Push an image of four layers: busybox; a directory for each row; deletions in those; what an engine alone loses. umoci
 * makes it, new each time: no engine has its layers already. It stays in `layout`, tag `t`, too. Returns its reference.
 */
export async function pushBase(engine: Engine, registry: Registry, layout: string): Promise<string> {
  const busybox = `${registry.host}/fidelity/busybox:${engine.name}`
  await engine.docker(['tag', await busyboxImage(engine), busybox])
  await engine.docker(['push', '--quiet', busybox])
  await engine.docker(['rmi', busybox])
  const bundle = `${layout}-bundle`
  const alone = `${layout}-alone`
  const image = `${layout}:t`
  await mustRun('skopeo', ['copy', '--quiet', '--src-tls-verify=false', `docker://${busybox}`, `oci:${image}`])
  await mustRun('umoci', ['unpack', '--image', image, bundle])
  const root = join(bundle, 'rootfs')
  writeFileSync(join(root, 'made'), `${process.hrtime.bigint()}\n`)
  for (const script of [BASE, SECOND_BASE]) {
    await mustRun('sh', ['-es'], { input: inEachRow(join(root, 'rows'), ROWS, () => script) })
    await mustRun('umoci', ['repack', '--refresh-bundle', '--image', image, bundle])
  }
  await mustRun('sh', ['-ec', ALONE, 'sh', alone])
  await mustRun('umoci', ['raw', 'add-layer', '--image', image, `${alone}.tar`])
  const reference = `${registry.host}/fidelity/base:${engine.name}`
  await mustRun('skopeo', ['copy', '--quiet', '--dest-tls-verify=false', `oci:${image}`, `docker://${reference}`])
  return reference
}

/** Do what the rows say in a container of the base image. */
export async function makeRows(container: Container, rows: readonly Row[] = ROWS): Promise<void> {
  await container.exec(['sh', '-es'], { input: inEachRow('/rows', rows, ({ script }) => script) })
  const python = rows.flatMap(({ directory, python }) => (python === undefined ? [] : [directory, python]))
  await container.exec(['sh', '-ec', 'chmod 751 /; chown 7:8 /'])
  await mustRun('python3', [ROWS_PY, `/proc/${container.pid}/root`, ...python])
}

function inEachRow(top: string, rows: readonly Row[], scriptOf: (row: Row) => string | undefined): string {
  return rows
    .map((row) => ({ directory: `${top}/${row.directory}`, script: scriptOf(row) }))
    .filter(({ script }) => script !== undefined)
    .map(({ directory, script }) => `mkdir -p ${directory}; cd ${directory}; ${script}`)
    .join('\n')
}
