/**
 * A time as DSW, RAM and STS write it: `yyyy-MM-ddTHH:mm:ssZ`, UTC, whole seconds, rounded down. Letter by letter: a page
 * of instances has two thousand times, and a part of what toISOString gives takes three times as long to make and to send.
 */
export function wireTime(ms: number): string {
  const time = new Date(ms)
  const [year, month, day] = [time.getUTCFullYear(), time.getUTCMonth() + 1, time.getUTCDate()]
  const [hour, minute, second] = [time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds()]
  // prettier-ignore
  return String.fromCharCode(
    tens(year / 100), ones(year / 100), tens(year), ones(year), DASH, tens(month), ones(month), DASH, tens(day), ones(day), T,
    tens(hour), ones(hour), COLON, tens(minute), ones(minute), COLON, tens(second), ones(second), Z,
  )
}

const [ZERO, DASH, COLON, T, Z] = [48, 45, 58, 84, 90] // ASCII

const ones = (number: number) => ZERO + (Math.floor(number) % 10)
const tens = (number: number) => ones(number / 10)
