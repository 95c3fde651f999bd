import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What the kernel tells of one thread: a file below /proc/PID/task/TID, or a link there. */
export interface KernelThread {
  readonly id: number
  status(field: string): string
  link(name: string): string
}

/** The jailed readers that `parent`, or a child of its, has started. */
export function readersBelow(parent: number): readonly number[] {
  return descendants(parent).filter((pid) => /\breader\.mjs\b/.test(text(`/proc/${pid}/cmdline`).split('\0')[3] ?? ''))
}

function descendants(parent: number): readonly number[] {
  const children = text(`/proc/${parent}/task/${parent}/children`).trim().split(' ').filter(Boolean).map(Number)
  return children.flatMap((child) => [child, ...descendants(child)])
}

export function threadsOf(pid: number): readonly KernelThread[] {
  return readdirSync(`/proc/${pid}/task`).map((id) => ({
    id: Number(id),
    status: (field) => new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text(`/proc/${pid}/task/${id}/status`))?.[1] ?? '',
    link: (name) => readlinkSync(`/proc/${pid}/task/${id}/${name}`),
  }))
}

function text(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // it has ended
  }
}
