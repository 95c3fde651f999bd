/** A program that opens a watch of the directory its arguments name, says its instance, and then does nothing: to be killed by a test. */
import { readdirSync } from 'node:fs'
import { openCtimeWatch } from '#watch/open.ts'

const [upperdir = '', recordDirectory = ''] = process.argv.slice(2)
const opened = await openCtimeWatch({ upperdir, recordDirectory })
console.log('watch' in opened ? readdirSync(recordDirectory).join() : opened.reason)
setInterval(() => {}, 1000)
