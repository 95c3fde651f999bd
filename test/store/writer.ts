/** A program that writes pairs of rows for ever, and prints each pair's name when it is written: to be killed. */
import { writeSync } from 'node:fs'
import { systemClock } from '#base/clock.ts'
import { openStore } from '#store/open-store.ts'

const home = process.argv[2]!
const store = await openStore({ database: { kind: 'sqlite', path: `${home}/tintype.db` }, home, clock: systemClock })
for (let number = 0; ; number++) {
  const name = `${process.pid}-${systemClock.wallMs()}-${number}`
  await store.transaction(async ({ settings }) => {
    await settings.set(`${name} first`, 'v')
    await settings.set(`${name} second`, 'v')
  })
  writeSync(1, `${name}\n`)
}
