import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Ends the process that runs it, at once: a reader that goes on has not run it. */
export const PLANTED_EXIT_CODE = 66
const MODULE = `process.exit(${PLANTED_EXIT_CODE})\n`
const LIBRARY = `#include <unistd.h>\n__attribute__((constructor)) static void run(void) { _exit(${PLANTED_EXIT_CODE}); }\n`

/** Where the dynamic loader and OpenSSL look, besides the reader's own files. */
const LIBRARIES = ['libisal.so.2', 'libc.so.6', 'libgcc_s.so.1', 'libnss_files.so.2', 'libm.so.6', 'libstdc++.so.6']
const TRIPLET = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
const LIBRARY_DIRECTORIES = [`/lib/${TRIPLET}`, `/usr/lib/${TRIPLET}`, '/lib', '/usr/lib', '/lib64', '/']

/** Puts code at every path below `root` that a reader, or something in it, could look a piece of its own up at. */
export function plantCode(root: string): void {
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text, { mode: 0o755 })
  }
  const here = process.cwd()
  for (const file of [...globSync('dist/*'), ...globSync('dist/**/*.mjs')]) put(join(here, file), MODULE)
  for (const file of globSync('src/**/*.ts')) put(join(here, file), MODULE)
  for (const file of globSync('node_modules/{koffi,@koromix}/**/*.{js,cjs,mjs}')) put(join(here, file), MODULE)
  for (let at = join(here, 'dist'); ; at = dirname(at)) {
    put(join(at, 'package.json'), '{"type":"module","main":"./index.js","exports":"./index.js"}')
    put(join(at, 'node_modules/koffi/package.json'), '{"main":"./index.js"}')
    put(join(at, 'node_modules/koffi/index.js'), MODULE)
    if (at === '/') break
  }
  for (const name of ['reader.mjs', 'reader-worker.mjs', 'index.js', 'worker.mjs', 'planted.mjs'])
    put(`/${name}`, MODULE)
  put('/planted.cjs', MODULE)
  put('/planted.json', '{}')
  put('/node_modules/planted/index.js', MODULE)
  put(process.execPath, `#!/bin/sh\nexit ${PLANTED_EXIT_CODE}\n`)
  put('/bin/sh', `#!/bin/sh\nexit ${PLANTED_EXIT_CODE}\n`)
  put('/etc/localtime', 'no time zone')
  const library = buildLibrary()
  if (library === undefined) return
  const natives = globSync('node_modules/{koffi,@koromix}/**/*.node').map((file) => join(here, file))
  const named = LIBRARY_DIRECTORIES.flatMap((directory) => LIBRARIES.map((name) => join(directory, name)))
  for (const path of [...natives, ...named, '/planted.so']) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    copyFileSync(library, join(root, path))
  }
  put('/etc/ld.so.preload', '/planted.so\n')
  const provider = '[p]\na=a\n[a]\nmodule=/planted.so\nactivate=1\n'
  for (const path of ['/etc/ssl/openssl.cnf', '/usr/lib/ssl/openssl.cnf'])
    put(path, `nodejs_conf=i\nopenssl_conf=i\n[i]\nproviders=p\n${provider}`)
  rmSync(dirname(library), { recursive: true })
}

/** A shared library that ends whoever loads it; undefined on a machine without a C compiler. */
export function buildLibrary(): string | undefined {
  if (spawnSync('gcc', ['--version']).error) return undefined
  const directory = mkdtempSync(join(tmpdir(), 'planted-'))
  const path = join(directory, 'planted.so')
  execFileSync('gcc', ['-shared', '-fPIC', '-x', 'c', '-', '-o', path], { input: LIBRARY })
  return path
}
