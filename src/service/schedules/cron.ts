import { Cron } from 'croner'
import { AppError } from '#base/errors.ts'

/**
 * When a schedule is due next after `afterMs`; undefined: never again. Five fields, as cron(5) has them, in the time of
 * `timeZone`: what falls into the hour that a summer time leaves out runs right after it, what comes twice runs once.
 * Throws `parameter_invalid`.
 */
export function nextTime(cron: string, timeZone: string, afterMs: number): number | undefined {
  checkTimeZone(timeZone)
  try {
    return new Cron(cron, { timezone: timeZone, mode: '5-part' }).nextRun(new Date(afterMs))?.getTime()
  } catch (error) {
    throw new AppError(
      'parameter_invalid',
      'Cron must be five fields: minute, hour, day of the month, month and day of the week, such as "0 3 * * 1-5".',
      { cause: error, details: { field: 'Cron' } },
    )
  }
}

/** The first time. Throws `parameter_invalid`, also for a day that never comes. */
export function firstTime(cron: string, timeZone: string, afterMs: number): number {
  const nextMs = nextTime(cron, timeZone, afterMs)
  if (nextMs !== undefined) return nextMs
  throw new AppError('parameter_invalid', 'Cron must name a time that comes: this one never does.', {
    details: { field: 'Cron' },
  })
}

function checkTimeZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone })
  } catch (error) {
    throw new AppError('parameter_invalid', 'TimeZone must be a name of the IANA database, such as Europe/Berlin.', {
      cause: error,
      details: { field: 'TimeZone' },
    })
  }
}
