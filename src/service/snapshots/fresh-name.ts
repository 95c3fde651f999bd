import { randomBytes } from 'node:crypto'
import type { Clock } from '#base/clock.ts'

/** A name for a snapshot, and a tag that nobody has yet: `PREFIX-20260131-080000-1f3a`, the time in UTC. */
export function freshName(prefix: string, clock: Clock): string {
  const [date = '', time = ''] = new Date(clock.wallMs()).toISOString().split('T')
  const digits = `${date.replaceAll('-', '')}-${time.slice(0, 8).replaceAll(':', '')}`
  return `${prefix}-${digits}-${randomBytes(2).toString('hex')}`
}
