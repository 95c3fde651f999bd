import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { extract } from 'tar-stream'
import { encodeTar } from '#lab/tar-headers.ts'
import type { TarHeader } from '#oci/tar.ts'

/** tar-stream takes names for text, and of pax it reads names and sizes only: it judges the rest. */
const name = fc.stringMatching(/^[a-z][a-z/._ü-]{0,290}[a-z]$/)
const member: fc.Arbitrary<TarHeader> = fc
  .record({
    name,
    kind: fc.constantFrom('file' as const, 'directory' as const, 'symlink' as const),
    target: name,
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 0o7777777 }),
    gid: fc.integer({ min: 0, max: 0o7777777 }),
    size: fc.integer({ min: 0, max: 2000 }),
    mtimeSec: fc.integer({ min: 0, max: 0o77777777777 }),
    xattrs: fc.constantFrom([], [['user.a', Buffer.from('1')]] as const),
  })
  .map(({ name, target, ...all }) => ({
    ...all,
    name: Buffer.from(all.kind === 'directory' ? `${name}/` : name),
    size: all.kind === 'file' ? all.size : 0,
    ...(all.kind === 'symlink' && { linkName: Buffer.from(target) }),
  }))

test('property: tar-stream reads what we write', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(member, { minLength: 1, maxLength: 8 }), async (members) => {
      const reader = extract()
      reader.end(encodeTar(members))
      const seen: unknown[] = []
      for await (const entry of reader) {
        const { name, type, linkname, size, mode, uid, gid, mtime } = entry.header
        const time = (mtime?.getTime() ?? 0) / 1000
        seen.push([name.replace(/\/$/, ''), type, linkname ?? '', size, mode, uid, gid, time])
        entry.resume()
      }
      const text = (bytes: Uint8Array | undefined) =>
        Buffer.from(bytes ?? [])
          .toString()
          .replace(/\/$/, '')
      assert.deepEqual(
        seen,
        members.map((m) => [text(m.name), m.kind, text(m.linkName), m.size, m.mode, m.uid, m.gid, m.mtimeSec]),
      )
    }),
    { numRuns: 200 },
  )
})
