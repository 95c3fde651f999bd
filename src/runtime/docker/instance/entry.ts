import { randomUUID } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDirectory } from '#base/make-directory.ts'
import { JUPYTER_PORT, type InstanceSpec } from '#runtime/runtime.ts'

/** Where an instance sees the files of `writeEntry`. At the root, so that the engine makes no other directory for it. */
export const ENTRY_DIRECTORY = '/.tintype'
/** Before each line of the engine's log that is not of the image's own command. */
export const SYSTEM_MARK = 'tintype[system]: '
/** What is kept at this path outlives the instance's container, and is no part of snapshots. */
export const WORKSPACE = '/mnt/workspace'

/** A command that ends sooner than this has nothing to do that an instance could live on: a shell without a terminal. */
const AT_ONCE_SECONDS = 10

/**
 * The first process of an instance, below the engine's init (design.md §5). Nothing but what is built into every /bin/sh
 * is used: `kill`, `printf`, `read`, `wait`; and /proc.
 */
const ENTRY = `\
# Written by Tintype when the instance was made. OnStart and JupyterLab run beside the image's own command.
unset TINI_KILL_PROCESS_GROUP # of the init's business only
here=${ENTRY_DIRECTORY}

say() { printf '${SYSTEM_MARK}%s\\n' "$1"; }
mark() { while IFS= read -r line || [ -n "$line" ]; do say "$line"; done; }
uptime() { IFS=. read -r seconds rest < /proc/uptime; }

if [ -s $here/on-start ]; then
  shell=/bin/sh
  if command -v bash > /dev/null 2>&1; then shell=bash; fi # what most scripts are written for
  IFS= read -r first < $here/on-start
  case $first in '#!'*) shell= ;; esac # it names its own
  { $shell $here/on-start 2>&1; printf 'OnStart has ended with %s.\\n' "$?"; } < /dev/null | mark &
fi

if command -v jupyter-lab > /dev/null 2>&1; then
  IFS= read -r base < $here/base-path
  IFS= read -r token < $here/token
  {
    cd ${WORKSPACE} || cd /
    JUPYTER_TOKEN=$token jupyter-lab --no-browser --allow-root --ip=0.0.0.0 --port=${JUPYTER_PORT} \\
      --ServerApp.port_retries=0 --ServerApp.allow_remote_access=True --ServerApp.base_url="$base" 2>&1
    printf 'JupyterLab has ended with %s.\\n' "$?"
  } < /dev/null | mark &
  unset token
fi

stopping=
trap stopping=1 HUP INT QUIT TERM # the init tells the command, too: it is in the same process group
code=0
uptime
started=$seconds
if [ $# -gt 0 ]; then
  (exec "$@") # not in the background, where a shell has it ignore SIGINT
  code=$?
fi
uptime

trap 'exit 143' HUP INT QUIT TERM
if [ -n "$stopping" ] || [ $((seconds - started)) -ge ${AT_ONCE_SECONDS} ]; then exit $code; fi
say "The image's own command ended at once, with $code: the instance is kept alive without it."
# A stopped process costs nothing, and is waited for until the instance is stopped: sleep(1) is not in every image.
/bin/sh -c 'kill -STOP $$' &
while :; do wait $!; done
`

/** What `writeEntry` needs of a spec. */
export type EntrySpec = Pick<InstanceSpec, 'onStart' | 'accessToken' | 'basePath'>

/**
 * Write what an instance's first process reads, into a directory of its own which is then mounted: outside of the
 * writable layer, so that no snapshot has it. Only the parent directory is closed to others: inside of the instance any
 * user may have to read it.
 */
export async function writeEntry(directory: string, { onStart, accessToken, basePath }: EntrySpec): Promise<void> {
  await makeDirectory(join(directory, '..'), 0o700)
  await makeDirectory(directory, 0o755)
  await write(directory, 'entry', ENTRY)
  await writeOnStart(directory, onStart)
  await write(directory, 'base-path', `${basePath}\n`)
  await write(directory, 'token', `${accessToken}\n`)
}

/** What runs beside the command from the next start on. */
export async function writeOnStart(directory: string, onStart: string | undefined): Promise<void> {
  await write(directory, 'on-start', onStart === undefined || onStart === '' ? '' : `${onStart}\n`)
}

/** Renamed, because a shell reads its script while it runs. */
async function write(directory: string, name: string, content: string): Promise<void> {
  const temporary = join(directory, `.${randomUUID()}`)
  await writeFile(temporary, content, { mode: 0o755 })
  await rename(temporary, join(directory, name))
}
