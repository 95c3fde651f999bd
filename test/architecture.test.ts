import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** Style guide §2: the floors of the house, ground floor first. A room imports lower floors and itself. */
const FLOORS = [
  ['base'],
  ['oci', 'contract', 'access', 'config'],
  ['posix'],
  ['registry', 'overlay', 'freezer', 'watch'],
  ['snapshot'],
  ['runtime', 'store'],
  ['service'],
  ['http', 'cli'],
]
const ONLY_IN: Record<string, string> = {
  fastify: 'http',
  kysely: 'store',
  pg: 'store',
  croner: 'service',
  'prom-client': 'http',
  pino: 'http',
  dockerode: 'runtime',
  koffi: 'posix',
  'tar-stream': 'runtime',
}
const floorOf = (room: string) => FLOORS.findIndex((floor) => floor.includes(room))

/** What a module imports or exports from elsewhere, at its top or on demand. */
const importsIn = (text: string) =>
  [...text.matchAll(/(?<![\w.$#])(?:from|import)\s*\(?'([^']+)'/g)].map(([, to]) => to!)

test('imports are told from calls that look like them', () => {
  const text = `import 'a'\nimport { b } from 'b'\nexport * from 'c'\nawait import('d')\nBuffer.from('/x'); it.import('y'); wherefrom('z')`
  assert.deepEqual(importsIn(text), ['a', 'b', 'c', 'd'])
})

const files = globSync('src/*/**/*.ts')

test('every room stands on a floor', () => {
  assert.ok(files.length > 0)
  for (const file of files) assert.ok(floorOf(file.split('/')[1]!) >= 0, `${file}: name its room in FLOORS`)
})

for (const file of files) {
  const room = file.split('/')[1]!
  test(`${file} looks only downstairs`, () => {
    const text = readFileSync(file, 'utf8').replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '')
    for (const to of importsIn(text)) {
      if (to.startsWith('#lab/')) {
        assert.ok(file.endsWith('.test.ts'), `${file}: only tests use the lab`)
        continue
      }
      const [, target = room] = to.match(/^#([^/]+)/) ?? []
      const [pkg] = to.match(/^(@[^/]+\/)?[^/]+/)!
      assert.ok(target === room || floorOf(target) < floorOf(room), `${room}/ must not import ${to}`)
      assert.equal(ONLY_IN[pkg!] ?? room, room, `${pkg} belongs in ${ONLY_IN[pkg!]}/`)
      assert.ok(!to.startsWith('../'), `write ${to} as '#room/file.ts'`)
    }
  })
}
