import { execFileSync } from 'node:child_process'
import fc from 'fast-check'

// Few names, so that edits meet: a path is one to three of them.
const path = fc
  .array(fc.constantFrom('a', 'b', 'c', 'd e', 'ü'), { minLength: 1, maxLength: 3 })
  .map((parts) => `'${parts.join('/')}'`)
const number = fc.integer({ min: 0, max: 99_999 })

/** One edit as a line of shell; one that does not apply does nothing. */
const edit: fc.Arbitrary<string> = fc.oneof(
  fc.tuple(path, number).map(([p, n]) => `[ -p ${p} ] || echo ${n} > ${p}`),
  fc.tuple(path, number).map(([p, n]) => `[ -p ${p} ] || echo ${n} >> ${p}`),
  fc.tuple(path, number).map(([p, n]) => `[ -p ${p} ] || truncate -s ${n} ${p}`),
  fc.tuple(path, number).map(([p, n]) => `touch -d @${n} ${p}`),
  fc
    .tuple(path, number)
    .map(
      ([p, n]) =>
        `[ -p ${p} ] || t=$(stat -c %Y ${p}) && printf %05d ${n} | dd of=${p} conv=notrunc status=none && touch -d @$t ${p}`,
    ),
  fc.tuple(path, fc.constantFrom('755', '4711', '1777', '600')).map(([p, m]) => `chmod ${m} ${p}`),
  fc.tuple(path, number).map(([p, n]) => `chown -h ${n}:7 ${p}`),
  fc.tuple(path, number).map(([p, n]) => `setfattr -n user.n -v ${n} ${p}`),
  fc.tuple(path, path).map(([p, q]) => `mv -fT ${p} ${q}`),
  fc.tuple(path, path).map(([p, q]) => `ln -fT ${p} ${q}`),
  fc.tuple(path, path).map(([p, q]) => `rm -rf ${q} && ln -s ${p} ${q}`),
  fc.tuple(path).map(([p]) => `rm -rf ${p}`),
  fc.tuple(path).map(([p]) => `mkdir -p ${p}`),
  fc.tuple(path).map(([p]) => `rm -rf ${p} && mkdir -p ${p}`),
  fc.tuple(path, number).map(([p, n]) => `rm -rf ${p} && echo ${n} > ${p}`),
  fc.tuple(path).map(([p]) => `rm -rf ${p} && mkfifo ${p}`),
)
/** Some of them, one after the other. */
export const edits = fc.array(edit, { maxLength: 12 })

/** Carry them out in `cwd`. */
export function applyEdits(edits: readonly string[], cwd: string): void {
  // A pipe without a reader would hold up who writes to it.
  const script = edits
    .map((line) => `timeout 1 sh -c "${line.replace(/["$\\]/g, '\\$&')}" 2>/dev/null || true`)
    .join('\n')
  execFileSync('/bin/sh', ['-c', script || 'true'], { cwd, timeout: 60_000, stdio: 'ignore' })
}
