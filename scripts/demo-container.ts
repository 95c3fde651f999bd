import type { Container } from '#lab/container.ts'

/** What a researcher does in a container in a week, in some seconds. The image has Python, and no network is needed. */
const WORK = `
set -eu
python3 -m venv /opt/venv
mkdir -p /opt/work
head -c 40000000 /dev/urandom > /opt/work/model.bin
ln /opt/work/model.bin /opt/work/model-v1.bin
echo 'export OMP_NUM_THREADS=2  # edited in the demo' >> /etc/profile
rm -f /etc/issue /etc/issue.net
cp "$(readlink -f /opt/venv/bin/python3)" /opt/venv/bin/serve
`
/** cap_net_bind_service, effective and permitted, as setcap writes it (linux/capability.h: VFS_CAP_REVISION_2). */
const CAPABILITY = '0100000200040000000000000000000000000000'
const SET_CAPABILITY = `
import os
os.setxattr('/opt/venv/bin/serve', 'security.capability', bytes.fromhex('${CAPABILITY}'))
`

/** A process that keeps writing: a number and the time, every millisecond. */
const WRITER = `
import time
with open('/opt/work/log', 'a', buffering=1) as log:
    number = 0
    while True:
        log.write(f'{number} {time.monotonic_ns()}\\n')
        number += 1
        time.sleep(0.001)
`

/** What must be the same before and after, as one JSON object. */
const FACTS = `
import hashlib, json, os
tree = hashlib.sha256()
count = 0
for directory, names, files in os.walk('/opt/venv'):
    names.sort()
    for name in sorted(files):
        path = os.path.join(directory, name)
        about = os.lstat(path)
        count += 1
        tree.update(f'{path} {about.st_mode} {about.st_uid} {about.st_size}'.encode())
        tree.update(os.readlink(path).encode() if os.path.islink(path) else open(path, 'rb').read())
first, second = os.stat('/opt/work/model.bin'), os.stat('/opt/work/model-v1.bin')
print(json.dumps({
    'the installed package tree': f'{count} files, sha256 {tree.hexdigest()[:16]}',
    'the model file': 'sha256 ' + hashlib.sha256(open('/opt/work/model.bin', 'rb').read()).hexdigest()[:16],
    'its hardlink': 'one file with two names' if first.st_ino == second.st_ino and first.st_nlink == 2 else 'broken',
    'the edited /etc/profile': 'edited' if 'edited in the demo' in open('/etc/profile').read() else 'as in the image',
    'the deleted /etc/issue': 'there' if os.path.lexists('/etc/issue') else 'deleted',
    'the file capability': os.getxattr('/opt/venv/bin/serve', 'security.capability').hex(),
}))
`

/** How many lines the writer's log has, whether a number is missing, and the longest silence between two of them. */
const LOG = `
import json
rows = [line.split() for line in open('/opt/work/log').read().split('\\n')[:-1]]
numbers = [int(row[0]) for row in rows]
times = [int(row[1]) for row in rows]
gap = max((later - earlier for earlier, later in zip(times, times[1:])), default=0)
print(json.dumps({'lines': len(rows), 'whole': numbers == list(range(len(rows))), 'longestSilenceMs': gap // 1000000}))
`

export type Facts = Readonly<Record<string, string>>

export interface LogState {
  readonly lines: number
  /** Every number is there, in order. */
  readonly whole: boolean
  readonly longestSilenceMs: number
}

/** Change a fresh container as its user would. */
export async function workIn(container: Container): Promise<void> {
  await container.exec(['sh', '-c', WORK])
  await container.exec(['python3', '-c', SET_CAPABILITY])
}

/** Start the writer and wait for its first lines. */
export async function startWriter(container: Container): Promise<void> {
  const start = `python3 -c "$1" >/dev/null 2>&1 & until [ -s /opt/work/log ]; do sleep 0.05; done`
  await container.exec(['sh', '-c', start, 'sh', WRITER])
}

/** What there is to compare. */
export async function factsOf(container: Container): Promise<Facts> {
  return JSON.parse(await container.exec(['python3', '-c', FACTS])) as Facts
}

export async function logOf(container: Container): Promise<LogState> {
  return JSON.parse(await container.exec(['python3', '-c', LOG])) as LogState
}
