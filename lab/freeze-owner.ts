/** A program that freezes what its argument says, tells so, and then does nothing: to be killed or stopped by a test. */
import { openFreezer, type FreezerOptions } from '#freezer/freeze.ts'

const freezer = openFreezer(JSON.parse(process.argv[2]!) as FreezerOptions)
const frozen = await freezer.freeze()
console.log('frozen')
frozen.lost.addEventListener('abort', () => console.log(`lost ${frozen.lost.reason.code}`))
setInterval(() => {}, 1000)
