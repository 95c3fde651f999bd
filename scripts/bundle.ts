import { existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { build, type BuildOptions } from 'esbuild'

/** What must load nothing late is one module each: the reader, its worker (attacks.md A4), the watchdog; and what is a thread. */
const CLOSED = {
  reader: 'src/snapshot/reader/main.ts',
  'reader-worker': 'src/snapshot/reader/worker.ts',
  watchdog: 'src/freezer/watchdog.ts',
  'sqlite-thread': 'src/store/sqlite-thread.ts',
}
/** The command is split, so that each start loads what it needs. */
const SPLIT = { tintype: 'src/main.ts' }

const UNUSED = ['ssh2', '@grpc/grpc-js', '@grpc/proto-loader']

// Packages in CommonJS ask for these.
const COMMONJS = `
import { createRequire as __createRequire } from 'node:module'
const require = __createRequire(import.meta.url)
const __filename = import.meta.filename
const __dirname = import.meta.dirname`

const OPTIONS: BuildOptions = {
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node26',
  external: ['koffi'], // finds its native part beside itself
  alias: Object.fromEntries(UNUSED.map((name) => [name, './scripts/not-bundled.mjs'])),
  legalComments: 'none',
  banner: { js: COMMONJS },
}

/** Write `dist/*.mjs` from `src`; their names. Each file appears whole, the command's last: another process may be starting it. */
export async function buildBundles(): Promise<readonly string[]> {
  mkdirSync('dist', { recursive: true })
  const temporary = mkdtempSync('dist/.new-')
  try {
    await build({ ...OPTIONS, entryPoints: CLOSED, outdir: temporary })
    await build({ ...OPTIONS, entryPoints: SPLIT, splitting: true, chunkNames: 'part-[hash]', outdir: temporary })
    const isCommand = (name: string) => name === 'tintype.mjs'
    const made = readdirSync(temporary).sort((a, b) => Number(isCommand(a)) - Number(isCommand(b)))
    for (const name of made) renameSync(join(temporary, name), join('dist', name))
    return made
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** Bundle again when a source is newer than the bundles. */
export async function buildIfStale(): Promise<void> {
  const built = existsSync('dist/tintype.mjs') ? statSync('dist/tintype.mjs').mtimeMs : 0
  const sources = globSync('src/**/*.ts').filter((file) => !file.endsWith('.test.ts'))
  if (sources.some((file) => statSync(file).mtimeMs > built)) await buildBundles()
}
