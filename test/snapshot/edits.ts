import { execFileSync } from 'node:child_process'
import fc from 'fast-check'

// Few names, so that edits meet: a path is one to three of them.
export const path = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd e', 'ü'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'))
const quoted = path.map((text) => `'${text}'`)
export const number = fc.integer({ min: 0, max: 99_999 })
const mode = fc.constantFrom('755', '4711', '1777', '600')

/** On one path, with a number. */
const on = (line: (path: string, n: number) => string) => fc.tuple(quoted, number).map(([p, n]) => line(p, n))
const onTwo = (line: (from: string, to: string) => string) => fc.tuple(quoted, quoted).map(([p, q]) => line(p, q))

/** Each kind of edit as a line of shell; it fails where it does not apply. A pipe without a reader holds up who writes to it. */
export const KINDS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  create: on((p, n) => `! [ -e ${p} ] && ! [ -h ${p} ] && echo ${n} > ${p}`),
  write: on((p, n) => `[ -f ${p} ] && echo ${n} > ${p}`),
  'append, twice within a tick of the clock': on((p, n) => `[ -f ${p} ] && echo ${n} >> ${p} && echo x >> ${p}`),
  'truncate, or make longer by a hole': on((p, n) => `[ -f ${p} ] && truncate -s ${n} ${p}`),
  'rewrite in the same size, with the mtime set back': on(
    (p, n) =>
      `[ -s ${p} ] && t=$(stat -c %y ${p}) && s=$(stat -c %s ${p}) && printf %0\${s}d ${n} | tail -c $s | dd of=${p} conv=notrunc status=none && touch -d "$t" ${p}`,
  ),
  touch: on((p, n) => `[ -e ${p} ] && touch -d @${n} ${p}`),
  chmod: fc.tuple(quoted, mode).map(([p, m]) => `chmod ${m} ${p}`),
  chown: on((p, n) => `chown -h ${n}:7 ${p}`),
  'set an attribute': on((p, n) => `setfattr -n user.n -v ${n} ${p}`),
  'remove an attribute': on((p) => `setfattr -x user.n ${p}`),
  rename: onTwo((p, q) => `[ ${p} != ${q} ] && mv -fT ${p} ${q}`),
  link: onTwo((p, q) => `[ ${p} != ${q} ] && ln -fT ${p} ${q}`),
  symlink: onTwo((p, q) => `rm -rf ${q} && ln -s ${p} ${q}`),
  unlink: on((p) => `rm ${p}`),
  'remove a tree': on((p) => `[ -d ${p} ] && rm -rf ${p}`),
  mkdir: on((p) => `mkdir -p ${p}`),
  'make a directory anew': on((p) => `[ -d ${p} ] && rm -rf ${p} && mkdir ${p}`),
  'replace a directory by a file': on((p, n) => `[ -d ${p} ] && rm -rf ${p} && echo ${n} > ${p}`),
  'replace a file by a directory': on((p) => `[ -f ${p} ] && rm ${p} && mkdir ${p} && echo x > ${p}/a`),
  'make a file anew': on((p, n) => `[ -f ${p} ] && rm ${p} && echo ${n} > ${p}`),
  'make a pipe': on((p) => `rm -rf ${p} && mkfifo ${p}`),
}

/** Some of them, one after the other; what does not apply does nothing. */
export const edits = fc.array(fc.oneof(...Object.values(KINDS)), { maxLength: 12 })

/** What a base holds before random edits: without it they would hit little. */
const TREE =
  'mkdir -p a/b/c b/a c; for f in a/a a/b/a a/b/b a/b/c/a b/a/b c/c; do echo base $f > $f; done; ln a/a c/a; echo base | tee d\\ e > ü'
/** Edits that make a base image. */
export const bases = edits.map((each) => [TREE, ...each])

/** Carry them out in `cwd`; returns which of them did something, and the last line of none is missed. */
export function applyEdits(edits: readonly string[], cwd: string): readonly boolean[] {
  const script = edits
    .map((line) => `timeout 1 sh -c "${line.replace(/["$\\]/g, '\\$&')}" >/dev/null 2>&1; echo $?`)
    .join('\n')
  const said = execFileSync('/bin/sh', ['-c', script], {
    cwd,
    timeout: 60_000,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return said.split('\n', edits.length).map((code) => code === '0')
}
