/** `npm run build`: bundle what is shipped. `--keep` leaves parts of earlier bundles, which a running command may still load. */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { buildBundles } from './bundle.ts'

const made = new Set(await buildBundles())
// What is the same has the same name, and is never missing: another process may be starting it.
const isOld = (name: string) => !made.has(name) && !name.startsWith('.')
if (!process.argv.includes('--keep'))
  for (const name of readdirSync('dist').filter(isOld)) rmSync(join('dist', name), { recursive: true })
