import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CtimeLog } from './ctime-log.ts'

const XCHG = 'ctime_ns_xchg: ino=254:0:12017685:693562236 old=271512676:Q new=295512677 cur=271512676:Q\n'
const NEW = 'ctime_ns_xchg: ino=254:0:10166434:0 old=0: new=299512677 cur=0:\n'
const READ = 'inode_set_ctime_to_ts: ino=254:0:77:3067065712 ctime=1795541387.295512677\n'

function take(text: string, device = '254:0'): CtimeLog {
  const log = new CtimeLog(device)
  const bytes = Buffer.from(text, 'latin1')
  log.take(bytes, bytes.length)
  return log
}

const changed = (log: CtimeLog) => [...log.inodes.values()].map((each) => [each.inode, each.ctimeSec, each.ctimeNsec])

const TAKEN: readonly [string, string, readonly (readonly number[])[]][] = [
  ['nothing', '', []],
  ['a change of an inode whose time somebody has looked at', XCHG, [[12017685, NaN, 295512677]]],
  ['a new inode', NEW, [[10166434, NaN, 299512677]]],
  ['an inode read from the disk, with its old ctime', READ, [[77, 1795541387, 295512677]]],
  ['two inodes', XCHG + READ, [[12017685, NaN, 295512677], [77, 1795541387, 295512677]]],
  ['the same ctime twice is one ctime', READ + READ, [[77, 1795541387, 295512677]]],
  ['two ctimes of one inode are a change', READ + READ.replace('387.', '388.'), [[77, NaN, 295512677]]],
  ['two ctimes that differ by nanoseconds are a change', READ + READ.replace('677\n', '678\n'), [[77, NaN, 295512678]]],
  ['what was read again after its change has changed', XCHG.replace('12017685', '77') + READ, [[77, NaN, 295512677]]],
  ['what was changed after it was read has changed', READ + XCHG.replace('12017685', '77'), [[77, NaN, 295512677]]],
  ['a change stays one, whatever comes after it', READ + READ.replace('387.', '388.') + READ + READ, [[77, NaN, 295512677]]],
  ['a ctime before 1970', READ.replace('=1795541387', '=-5'), [[77, -5, 295512677]]],
  ['nanoseconds that the kernel has yet to normalise', READ.replace('.295512677', '.4294967295'), [[77, 1795541387, 4294967295]]],
  ['XFS reads an inode before it has its number', READ.replace(':77:', ':0:'), [[0, 1795541387, 295512677]]],
  ['an inode that btrfs keeps for itself is no file', READ.replace(':77:', ':-12:'), []],
  ['the largest inode number that is exact', READ.replace(':77:', `:${2 ** 53 - 1}:`), [[2 ** 53 - 1, 1795541387, 295512677]]],
] // prettier-ignore

for (const [why, text, expected] of TAKEN) {
  test(`taken: ${why}`, () => {
    const log = take(text)
    assert.equal(log.flaw, undefined)
    assert.deepEqual(changed(log), expected)
    assert.equal(log.lines, text.split('\n').length - 1)
  })
}

const REFUSED: readonly [string, string][] = [
  ['lost events', 'CPU:0 [LOST 131652 EVENTS]\n'],
  ['lost events, nobody knows how many', 'CPU:1 [LOST EVENTS]\n'],
  ['another event', READ.replace('inode_set_ctime_to_ts', 'fill_mg_cmtime')],
  ['another device: the filter did not hold', READ.replace('254:0', '254:1')],
  ['a device whose name begins like ours', READ.replace('254:0', '254:01')],
  ['a line with the name of a process before it', `            node-123     [000] ..... 26481.359582: ${READ}`],
  ['an empty line', '\n'],
  ['no inode', READ.replace(':77:', '::')],
  ['an inode that is not a number', READ.replace(':77:', ':7x:')],
  ['an inode number too large to be exact', READ.replace(':77:', `:${2 ** 53}:`)],
  ['an inode number of 64 bits, printed as signed', READ.replace(':77:', ':-4611686018427387904:')],
  ['a minus alone', READ.replace(':77:', ':-:')],
  ['no generation', READ.replace(':3067065712', '')],
  ['no seconds', READ.replace('1795541387', '')],
  ['no nanoseconds', READ.replace('.295512677', '')],
  ['a point and no nanoseconds', READ.replace('295512677', '')],
  ['something after the nanoseconds', READ.replace('\n', ' more\n')],
  ['an exchange without its new time', XCHG.replace(' new=295512677', '')],
  ['an exchange with another flag', XCHG.replace(':Q new', ':Z new')],
  ['an exchange without its old time', XCHG.replace('old=271512676:Q', 'old=:Q')],
  ['an exchange that ends early', XCHG.replace(' cur=271512676:Q', '')],
  ['an exchange with something after it', XCHG.replace(':Q\n', ':Q|R\n')],
]

for (const [why, text] of REFUSED) {
  test(`refused: ${why}`, () => {
    const log = take(NEW + text + READ)
    assert.match(log.flaw ?? 'taken', /^the trace says ".*"$/)
    assert.deepEqual(changed(log), [[10166434, NaN, 299512677]], 'nothing after the line is taken')
    assert.equal(log.lines, 1)
  })
}

test('the flaw quotes the line, and not what a hostile one adds', () => {
  assert.equal(take('CPU:0 [LOST 7 EVENTS]\n').flaw, 'the trace says "CPU:0 [LOST 7 EVENTS]"')
  assert.ok(take(`\x1b[2J${'x'.repeat(5000)}\n`).flaw!.length < 120)
})

test('more inodes than may be held are a flaw', () => {
  const log = new CtimeLog('254:0', 2)
  const bytes = Buffer.from(READ + XCHG + READ + NEW)
  log.take(bytes, bytes.length)
  assert.deepEqual([log.flaw, log.inodes.size, log.lines], ['more than 2 inodes changed', 2, 3])
})

test('a line that has not ended is left for the next read, wherever it was cut', () => {
  const text = Buffer.from(XCHG + READ + NEW)
  for (let cut = 0; cut <= text.length; cut++) {
    const log = new CtimeLog('254:0')
    const buffer = Buffer.alloc(1000)
    text.copy(buffer, 0, 0, cut)
    const taken = log.take(buffer, cut)
    buffer.copyWithin(0, taken, cut)
    text.copy(buffer, cut - taken, cut)
    const rest = text.length - taken
    assert.equal(log.take(buffer, rest), rest, `cut at ${cut}`)
    assert.deepEqual([log.flaw, log.lines, changed(log)], [undefined, 3, changed(take(XCHG + READ + NEW))])
  }
})

test('what lies in the buffer behind what was read is not taken', () => {
  const log = new CtimeLog('254:0')
  const bytes = Buffer.from(READ + NEW)
  assert.equal(log.take(bytes, READ.length), READ.length)
  assert.deepEqual(changed(log), [[77, 1795541387, 295512677]])
})

test('to forget the inodes touches neither the count of lines nor the map that was handed out', () => {
  const log = take(READ + XCHG)
  const before = log.inodes
  log.forget()
  assert.deepEqual([before.size, log.inodes.size, log.lines], [2, 0, 2])
})

const nat = (max: number) => fc.integer({ min: 0, max })
const u32 = nat(2 ** 32 - 1)
const eventArbitrary = fc.record({
  inode: fc.oneof(nat(5), fc.maxSafeNat()),
  gen: u32,
  sec: fc.oneof(nat(3), fc.integer({ min: -(2 ** 40), max: 2 ** 40 })),
  nsec: fc.oneof(nat(3), nat(999_999_999)),
  isExchange: fc.boolean(),
  flag: fc.constantFrom('', 'Q'),
})

test('whatever the kernel prints: every inode is named, and its ctime is said when it is the only one', () => {
  fc.assert(
    fc.property(fc.array(eventArbitrary, { maxLength: 40 }), (events) => {
      const text = events.map(({ inode, gen, sec, nsec, isExchange, flag }) =>
        isExchange
          ? `ctime_ns_xchg: ino=8:17:${inode}:${gen} old=${gen}:${flag} new=${nsec} cur=${gen}:${flag}\n`
          : `inode_set_ctime_to_ts: ino=8:17:${inode}:${gen} ctime=${sec}.${nsec}\n`,
      )
      const log = take(text.join(''), '8:17')
      assert.deepEqual([log.flaw, log.lines], [undefined, events.length])
      assert.deepEqual(new Set(log.inodes.keys()), new Set(events.map((event) => event.inode)))
      for (const [inode, entry] of log.inodes) {
        const own = events.filter((event) => event.inode === inode)
        const times = new Set(own.map((event) => (event.isExchange ? 'change' : `${event.sec}.${event.nsec}`)))
        const isOneTime = times.size === 1 && !times.has('change')
        assert.equal(entry.ctimeSec, isOneTime ? own[0]!.sec : NaN)
        if (isOneTime) assert.equal(entry.ctimeNsec, own[0]!.nsec)
      }
    }),
  )
})

test('a byte that is changed anywhere makes the line another one or a flaw, never an endless read', () => {
  const line = fc.constantFrom(XCHG, NEW, READ)
  fc.assert(
    fc.property(line, nat(200), nat(255), (text, position, byte) => {
      const bytes = Buffer.from(text, 'latin1')
      bytes[position % bytes.length] = byte
      const log = new CtimeLog('254:0')
      const taken = log.take(bytes, bytes.length)
      if (log.flaw === undefined) assert.ok(log.lines <= 1 && (taken === bytes.length || taken === 0))
      else assert.equal(log.lines, 0)
    }),
  )
})
