const DAY_MS = 86_400_000

/** The day that was written last: most times of an answer are of a few days. */
const last = { day: NaN, year: 0, month: 0, date: 0 }

/**
 * A time as DSW, RAM and STS write it: `yyyy-MM-ddTHH:mm:ssZ`, UTC, whole seconds, rounded down. Letter by letter, and a Date
 * only for another day: a page of instances has two thousand times, and a part of what toISOString gives takes three times
 * as long to make and to send.
 */
export function wireTime(ms: number): string {
  const day = Math.floor(ms / DAY_MS)
  if (day !== last.day) {
    const time = new Date(ms)
    Object.assign(last, { day, year: time.getUTCFullYear(), month: time.getUTCMonth() + 1, date: time.getUTCDate() })
  }
  const { year, month, date } = last
  const seconds = Math.floor((ms - day * DAY_MS) / 1000)
  const minutes = Math.floor(seconds / 60)
  const hour = Math.floor(minutes / 60)
  const [minute, second] = [minutes - hour * 60, seconds - minutes * 60]
  // prettier-ignore
  return String.fromCharCode(
    tens(year / 100), ones(year / 100), tens(year), ones(year), DASH, tens(month), ones(month), DASH, tens(date), ones(date), T,
    tens(hour), ones(hour), COLON, tens(minute), ones(minute), COLON, tens(second), ones(second), Z,
  )
}

const [ZERO, DASH, COLON, T, Z] = [48, 45, 58, 84, 90] // ASCII

const ones = (number: number) => ZERO + (Math.floor(number) % 10)
const tens = (number: number) => ones(number / 10)
