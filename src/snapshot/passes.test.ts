import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import type { ContainerFreezer } from '#freezer/freeze.ts'
import { NamedChanges } from './named-changes.ts'
import { runPasses } from './passes.ts'
import type { PassesParts } from './passes-parts.ts'
import type { ReaderCommand, ReaderEvent } from './protocol.ts'

const MB = 1 << 20

/** A world in which each call takes the time it is told to, and is written down. */
class World {
  readonly steps: string[] = []
  readonly commands: ReaderCommand[] = []
  nowMs = 1_000_000
  wallOffsetMs = 0
  syncs = true
  /** How often the next live pass says that the spool is full. */
  pauses = 0
  /** What live passes take and how long: the last one goes on for ever. */
  live: { bytes: number; ms?: number; torn?: number; isOneState?: boolean }[] = [{ bytes: 0 }]
  /** What is left after a long pass: the last one goes on for ever. */
  left: { files?: number; bytes: number }[] = [{ bytes: 900 * MB }]
  /** What frozen passes find. */
  frozen: { bytes: number; isOneState?: boolean }[] = [{ bytes: 0 }]
  stillFrozen: () => Promise<void> = async () => {}
  /** How many of the inodes that are named in the freeze are the container's. */
  changedFrozen = 0

  readonly clock = {
    wallMs: () => this.nowMs + this.wallOffsetMs,
    monotonicMs: () => this.nowMs,
    wallNs: () => BigInt(this.nowMs + this.wallOffsetMs) * 1_000_000n,
  }

  readonly freezer: ContainerFreezer = {
    barrier: async () => {
      this.steps.push('barrier')
      return { beforeNs: this.clock.wallNs(), durationMs: 3 }
    },
    freeze: async () => {
      this.steps.push('freeze')
      const f0Ns = this.clock.wallNs()
      let isThawed = false
      return {
        f0Ns,
        f1Ns: f0Ns + 1_000_000n,
        lost: new AbortController().signal,
        stillFrozen: () => this.stillFrozen(),
        thaw: async () => {
          if (!isThawed) this.steps.push('thaw')
          isThawed = true
          return { frozenMs: 17 }
        },
      }
    },
    async [Symbol.asyncDispose]() {},
  }

  async run(command: ReaderCommand): Promise<ReaderEvent> {
    this.commands.push(command)
    if (command.command === 'pass') {
      const { bytes, ms = 0, torn = 0, isOneState = true } = this.live.length > 1 ? this.live.shift()! : this.live[0]!
      this.steps.push(`live ${bytes / MB}`)
      this.nowMs += ms
      return { event: 'passed', files: 1, bytes, torn, isOneState, isPaused: this.pauses > 0 }
    }
    if (command.command === 'resume') {
      this.steps.push('resume')
      return { event: 'passed', files: 1, bytes: 0, torn: 0, isOneState: true, isPaused: --this.pauses > 0 }
    }
    if (command.command === 'keep') {
      const { bytes, isOneState = true } = this.frozen.length > 1 ? this.frozen.shift()! : this.frozen[0]!
      this.steps.push(`keep ${bytes / MB}`)
      return { event: 'kept', files: 1, bytes, isOneState, isWithinBudget: bytes <= command.budgetBytes }
    }
    this.steps.push(command.command)
    if (command.command === 'count') return { event: 'counted', count: this.changedFrozen }
    if (command.command === 'look') {
      const { files = 1, bytes } = this.left.length > 1 ? this.left.shift()! : this.left[0]!
      return { event: 'looked', files, bytes }
    }
    return { event: 'passed', files: 1, bytes: 0, torn: 0, isOneState: true, isPaused: false }
  }

  parts(more: Partial<PassesParts> = {}): PassesParts {
    return {
      reader: {
        run: (command: ReaderCommand) => this.run(command),
        async [Symbol.asyncDispose]() {},
      } as PassesParts['reader'],
      freezer: this.freezer,
      sync: async () => this.syncs,
      clock: this.clock,
      maxFreezeMs: 2000,
      singlePass: false,
      isDelta: false,
      isUnfrozen: false,
      assertStopped: async () => {},
      alongside: async () => {},
      watch: async () => undefined,
      roomBytes: async (tailBytes) => 1000 * MB - tailBytes,
      makeRoom: async () => void this.steps.push('make room'),
      reserveTail: () => {},
      quietUploads: async () => void this.steps.push('quiet'),
      resumeUploads: () => {},
      onEvent: () => {},
      onPass: () => {},
      ...more,
    }
  }
}

const FROZEN_PASS = ['quiet', 'freeze', 'keep 0', 'thaw', 'pack']

const FLOWS: readonly (readonly [string, (world: World) => Partial<PassesParts> | void, readonly string[]])[] = [
  [
    'a short pass is followed by the freeze at once',
    () => {},
    ['quiet', 'barrier', 'live 0', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a long pass after which little is left is followed by the freeze',
    (world) => {
      world.live = [{ bytes: 900 * MB, ms: 6000 }]
      world.left = [{ files: 100, bytes: 20 * MB }]
    },
    ['quiet', 'barrier', 'live 900', 'look', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'what the spool has no room for goes on when it has, layer by layer',
    (world) => void (world.pauses = 2),
    [
      ...['quiet', 'barrier', 'live 0', 'make room', 'resume', 'make room', 'resume'],
      ...['quiet', 'rehearse', ...FROZEN_PASS],
    ],
  ],
  [
    'many small files are not little: each takes its time',
    (world) => {
      world.live = [{ bytes: 900 * MB, ms: 6000 }, { bytes: MB }]
      world.left = [{ files: 5000, bytes: MB }]
    },
    ['quiet', 'barrier', 'live 900', 'look', 'quiet', 'barrier', 'live 1', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a long pass after which much is left is followed by another, which is small',
    (world) =>
      void (world.live = [
        { bytes: 900 * MB, ms: 6000 },
        { bytes: 20 * MB, ms: 1500 },
      ]),
    ['quiet', 'barrier', 'live 900', 'look', 'quiet', 'barrier', 'live 20', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'passes that do not shrink end',
    (world) =>
      void (world.live = [
        { bytes: 900 * MB, ms: 6000 },
        { bytes: 300 * MB, ms: 2000 },
        { bytes: 400 * MB, ms: 2000 },
      ]),
    [
      'quiet',
      'barrier',
      'live 900',
      'look',
      'quiet',
      'barrier',
      'live 300',
      'look',
      'quiet',
      'barrier',
      'live 400',
      'quiet',
      'rehearse',
      ...FROZEN_PASS,
    ],
  ],
  [
    'a base that takes long is waited for, and what has changed meanwhile is taken before the freeze',
    (world) => ({ alongside: async () => void (world.nowMs += 30_000) }),
    ['quiet', 'barrier', 'live 0', 'quiet', 'barrier', 'live 0', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a change that is too large is thawed, taken live, and tried again',
    (world) => void (world.frozen = [{ bytes: 100 * MB }, { bytes: 0 }]),
    [
      'quiet',
      'barrier',
      'live 0',
      'quiet',
      'rehearse',
      'quiet',
      'freeze',
      'keep 100',
      'thaw',
      'live 0',
      ...FROZEN_PASS,
    ],
  ],
  [
    'a pass that did not see one state is void',
    (world) => void (world.frozen = [{ bytes: 0, isOneState: false }, { bytes: 0 }]),
    ['quiet', 'barrier', 'live 0', 'quiet', 'rehearse', 'quiet', 'freeze', 'keep 0', 'thaw', 'live 0', ...FROZEN_PASS],
  ],
  [
    'a delta of little is one frozen pass, without a barrier',
    (world) => {
      world.left = [{ files: 12, bytes: MB }]
      return { isDelta: true }
    },
    ['look', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a delta of nothing too',
    (world) => {
      world.left = [{ files: 0, bytes: 0 }]
      return { isDelta: true }
    },
    ['look', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a delta of much is read while the container works',
    (world) => {
      world.left = [{ bytes: 40 * MB }]
      return { isDelta: true }
    },
    ['look', 'quiet', 'barrier', 'live 0', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a delta of many small files too',
    (world) => {
      world.left = [{ files: 5000, bytes: MB }]
      return { isDelta: true }
    },
    ['look', 'quiet', 'barrier', 'live 0', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a delta that waits for the base takes what has changed meanwhile before the freeze',
    (world) => {
      world.left = [{ bytes: MB }]
      return { isDelta: true, alongside: async () => void (world.nowMs += 30_000) }
    },
    ['look', 'quiet', 'barrier', 'live 0', 'quiet', 'rehearse', ...FROZEN_PASS],
  ],
  [
    'a delta that turns out larger in the freeze is thawed, and counts as a live pass',
    (world) => {
      world.left = [{ bytes: MB }]
      world.frozen = [{ bytes: 65 * MB }, { bytes: 250 * MB }, { bytes: 300 * MB }]
      return { isDelta: true }
    },
    [
      ...['look', 'quiet', 'rehearse'],
      ...['quiet', 'freeze', 'keep 65', 'thaw', 'live 0'],
      ...['quiet', 'freeze', 'keep 250', 'thaw', 'pack'],
    ],
  ],
  [
    'a delta in a single pass is one pass in the freeze',
    () => ({ isDelta: true, singlePass: true }),
    ['freeze', 'live 0', 'thaw'],
  ],
  ['a delta of a stopped container', () => ({ isDelta: true, freezer: undefined }), ['live 0']],
  ['a single pass reads everything in the freeze', () => ({ singlePass: true }), ['freeze', 'live 0', 'thaw']],
  ['a stopped container stands still', () => ({ freezer: undefined }), ['live 0']],
  [
    'without a freeze what was torn is read again, three times at the most',
    (world) => {
      world.live = [{ bytes: MB, torn: 2 }]
      return { freezer: undefined, isUnfrozen: true }
    },
    ['live 1', 'live 1', 'live 1'],
  ],
]
for (const [name, arrange, steps] of FLOWS) {
  test(`passes: ${name}`, async () => {
    const world = new World()
    await runPasses(world.parts(arrange(world) ?? {}))
    assert.deepEqual(world.steps, steps)
  })
}

test('without a freeze each pass trusts what was at rest before it', async () => {
  const world = new World()
  world.live = [{ bytes: MB, ms: 100, torn: 1 }]
  await runPasses(world.parts({ freezer: undefined, isUnfrozen: true }))
  const trusted = world.commands.flatMap((command) => (command.command === 'pass' ? [command.readMicros] : []))
  assert.equal(trusted.length, 3)
  assert.ok(trusted[0]! > 0 && trusted[1]! > trusted[0]! && trusted[2]! > trusted[1]!, `${trusted}`)
})

test('a container that never holds still is refused after three freezes, and thawed each time', async () => {
  const world = new World()
  world.frozen = [{ bytes: 5000 * MB }]
  await assert.rejects(runPasses(world.parts()), { code: 'freeze_budget_exceeded', message: /--max-freeze-ms/ })
  assert.equal(world.steps.filter((step) => step === 'freeze').length, 3)
  assert.equal(world.steps.filter((step) => step === 'thaw').length, 3)
})

test('a freeze that lasts longer than it may is thawed in time, and counts as a live pass', async () => {
  const world = new World()
  const run = world.run.bind(world)
  let finish: (() => void) | undefined
  world.run = async (command) => {
    if (command.command !== 'keep' || finish) return run(command)
    await new Promise<void>((resolve) => (finish = resolve))
    return run(command)
  }
  const thawed = new Promise<void>((resolve) => {
    const push = world.steps.push.bind(world.steps)
    world.steps.push = (...steps) => {
      if (steps.includes('thaw')) resolve()
      return push(...steps)
    }
  })
  const running = runPasses(world.parts({ maxFreezeMs: 20 }))
  await thawed
  finish?.()
  await running
  assert.deepEqual(world.steps.slice(0, 10), [
    'quiet',
    'barrier',
    'live 0',
    'quiet',
    'rehearse',
    'quiet',
    'freeze',
    'thaw',
    'keep 0',
    'live 0',
  ])
})

test('the budget of a freeze is counted from its beginning, not from when it was confirmed', async () => {
  const world = new World()
  const { freezer, run } = world
  let isThawed = () => {}
  const thawed = new Promise<void>((resolve) => (isThawed = resolve))
  world.run = async (command) => {
    if (command.command === 'keep' && keeps(world).length === 0) await thawed
    return run.call(world, command)
  }
  const slow: ContainerFreezer = {
    ...freezer,
    freeze: async () => {
      const frozen = await freezer.freeze()
      if (keeps(world).length === 0) world.nowMs += 60_000
      return { ...frozen, thaw: () => frozen.thaw().finally(isThawed) }
    },
  }
  await runPasses(world.parts({ freezer: slow, maxFreezeMs: 60_000 }))
  assert.deepEqual(world.steps.slice(6, 10), ['freeze', 'thaw', 'keep 0', 'live 0'])
})

for (const [what, live] of [
  ['was changed', { bytes: 0, isOneState: false }],
  ['was read while it changed', { bytes: 0, torn: 1 }],
] as const) {
  test(`a single freeze in which something ${what} fails the capture, and the container is thawed`, async () => {
    const world = new World()
    world.live = [live]
    await assert.rejects(runPasses(world.parts({ singlePass: true })), { code: 'container_gone' })
    assert.deepEqual(world.steps.slice(-3), ['freeze', 'live 0', 'thaw'])
  })

  test(`a stopped container in which something ${what} is read again`, async () => {
    const world = new World()
    world.live = [{ ...live, ms: 1000 }, { bytes: 0 }]
    const startMicros = world.nowMs * 1000
    await runPasses(world.parts({ freezer: undefined }))
    const still = world.commands.map((command) => 'frozenMicros' in command && command.frozenMicros)
    assert.deepEqual(still, [startMicros, startMicros + 1_000_000])
  })

  test(`a stopped container in which something ${what} each time is refused`, async () => {
    const world = new World()
    world.live = [live]
    await assert.rejects(runPasses(world.parts({ freezer: undefined })), { code: 'container_gone', message: /stopped/ })
    assert.equal(world.commands.length, 3)
  })
}

test('a stopped container that has been started is refused, before anything is said to be taken', async () => {
  const world = new World()
  const assertStopped = () => Promise.reject(new AppError('container_gone', 'started'))
  const onTaken = () => void world.steps.push('taken')
  await assert.rejects(runPasses(world.parts({ freezer: undefined, assertStopped, onTaken })), { message: 'started' })
  assert.deepEqual(world.steps, ['live 0'])
})

test('what someone else did to the container while it was frozen fails the capture, and it is thawed', async () => {
  const world = new World()
  world.stillFrozen = () => Promise.reject(new AppError('container_gone', 'removed'))
  await assert.rejects(runPasses(world.parts()), { code: 'container_gone' })
  assert.equal(world.steps.at(-1), 'thaw')
})

test('a live pass leaves room for the tail of the freeze that comes next', async () => {
  const world = new World()
  world.pauses = 1
  world.frozen = [{ bytes: 100 * MB }, { bytes: 0 }]
  await runPasses(world.parts())
  const rooms = world.commands.flatMap((command) =>
    'roomBytes' in command ? [[command.command, command.roomBytes! / MB]] : [],
  )
  assert.deepEqual(rooms, [
    ['pass', 936],
    ['resume', 936],
    ['pass', 744],
    ['pack', 1000], // it is reserved by then
  ])
})

test('a spool that has no room for a larger tail tries again with what it has', async () => {
  const world = new World()
  const roomBytes = async (tailBytes: number) => 100 * MB - tailBytes
  const reserved: number[] = []
  const reserveTail = (bytes: number) => {
    if (bytes > 100 * MB) throw new AppError('spool_full', 'Full.')
    reserved.push(bytes / MB)
  }
  world.frozen = [{ bytes: 0, isOneState: false }, { bytes: 0 }]
  await runPasses(world.parts({ roomBytes, reserveTail }))
  assert.deepEqual(reserved, [64])
  world.frozen = [{ bytes: 65 * MB }]
  await assert.rejects(runPasses(world.parts({ roomBytes, reserveTail })), { code: 'spool_full' })
  world.frozen = [{ bytes: 0, isOneState: false }]
  await assert.rejects(runPasses(world.parts({ roomBytes, reserveTail })), { code: 'freeze_budget_exceeded' })
})

test('a failed upload ends the wait for room', async () => {
  const world = new World()
  world.pauses = 1
  const makeRoom = () => Promise.reject(new AppError('registry_unavailable', 'Gone.'))
  await assert.rejects(runPasses(world.parts({ makeRoom })), { code: 'registry_unavailable' })
  assert.deepEqual(world.steps, ['quiet', 'barrier', 'live 0'])
})

test('only what was read after sync and barrier is trusted', async () => {
  const world = new World()
  world.live = [
    { bytes: 900 * MB, ms: 6000 },
    { bytes: 0, ms: 2000 },
  ]
  const startMicros = world.nowMs * 1000
  await runPasses(world.parts())
  const passes = world.commands.filter((command) => command.command === 'pass')
  assert.deepEqual(
    passes.map(({ readMicros }) => readMicros),
    [startMicros, startMicros + 6_000_000],
  )
})

test('a disk that is not written back in time is synced file by file', async () => {
  const world = new World()
  world.syncs = false
  await runPasses(world.parts())
  assert.deepEqual(world.commands[0], {
    roomBytes: 936 * MB,
    command: 'pass',
    readMicros: world.nowMs * 1000,
    syncsEachFile: true,
    checksAfterRead: false,
    trustsNothing: false,
  })
})

/** What a delta of little trusts of that which it reads in the freeze. */
async function trustedOfDelta(arrange: (world: World) => Partial<PassesParts> | void) {
  const world = new World()
  world.left = [{ bytes: MB }]
  const startMicros = world.nowMs * 1000
  const limits: number[] = []
  const sync = async (limitMs: number) => {
    limits.push(limitMs)
    world.nowMs += 400
    return world.syncs
  }
  const more = arrange(world) ?? {}
  await runPasses(world.parts({ isDelta: true, sync, ...more }))
  const of = (name: string) =>
    world.commands.flatMap((command) =>
      command.command === name && 'readMicros' in command ? [command.readMicros - startMicros] : [],
    )
  return { limits, kept: of('keep'), packed: of('pack'), passed: of('pass'), startMicros }
}

test('a delta trusts what it reads in the freeze by the moment before its sync', async () => {
  const { limits, kept, packed } = await trustedOfDelta(() => {})
  assert.deepEqual([limits, kept, packed], [[1000], [0], [0]])
})

test('a delta whose sync does not return in time trusts nothing of what it reads in the freeze', async () => {
  const { limits, kept, packed, startMicros } = await trustedOfDelta((world) => void (world.syncs = false))
  assert.deepEqual([limits, kept, packed], [[1000], [-startMicros], [-startMicros]])
})

test('a delta of much syncs again for its live pass, and has a barrier before it', async () => {
  const { limits, passed, kept } = await trustedOfDelta((world) => void (world.left = [{ bytes: 40 * MB }]))
  assert.deepEqual([limits, passed, kept], [[1000, 3000], [400_000], [400_000]])
})

test('a live pass between two freezes of a delta is trusted by the freeze before it', async () => {
  const { passed, kept } = await trustedOfDelta((world) => void (world.frozen = [{ bytes: 65 * MB }, { bytes: 0 }]))
  assert.deepEqual([kept, passed], [[0, 0], [400_000]])
})

test('when the clock is set back nothing is trusted any more', async () => {
  const world = new World()
  world.live = [{ bytes: 900 * MB, ms: 6000 }, { bytes: 0 }]
  const { freezer } = world
  await runPasses(
    world.parts({
      freezer: {
        ...freezer,
        barrier: async () => {
          if (world.commands.length > 0) world.wallOffsetMs = -3_600_000
          return freezer.barrier()
        },
      },
    }),
  )
  const trusts = world.commands.map((command) => 'trustsNothing' in command && command.trustsNothing)
  assert.deepEqual(trusts, [false, false, true, false, true, false]) // a look, the rehearsal and the packing take nothing
})

const TAKEN: readonly (readonly [string, (world: World) => Partial<PassesParts> | void, readonly string[]])[] = [
  ['before the rest is packed', () => {}, ['thaw', 'taken', 'pack']],
  [
    'of tries, after the one that holds',
    (world) => void (world.frozen = [{ bytes: 100 * MB }, { bytes: 0 }]),
    ['thaw', 'taken', 'pack'],
  ],
  ['in one freeze, after it', () => ({ singlePass: true }), ['live 0', 'thaw', 'taken']],
  ['without a freeze, at the end', () => ({ freezer: undefined, isUnfrozen: true }), ['live 0', 'taken']],
]
for (const [reason, arrange, last] of TAKEN)
  test(`that the state is taken is said once the container runs: ${reason}`, async () => {
    const world = new World()
    const more = arrange(world) ?? {}
    await runPasses(world.parts({ ...more, onTaken: () => void world.steps.push('taken') }))
    assert.deepEqual(world.steps.slice(-last.length), last)
    assert.equal(world.steps.filter((step) => step === 'taken').length, 1)
  })

/** A watch that names what the test tells it, call by call; when it has nothing more to say it has lost something. */
function playedChanges(...named: (readonly (readonly [number, number, number])[])[]) {
  let isLost = false
  return new NamedChanges({
    drain() {
      const next = named.shift()
      isLost = next === undefined
      return new Map((next ?? []).map(([inode, ctimeSec, ctimeNsec]) => [inode, { inode, ctimeSec, ctimeNsec }]))
    },
    forget() {},
    lost: () => (isLost ? 'the trace has lost events' : undefined),
    async [Symbol.asyncDispose]() {},
  })
}

const keeps = (world: World) => world.commands.filter((command) => command.command === 'keep')
const looks = (world: World) => world.commands.filter((command) => command.command === 'look')

test('a watched freeze looks at what was named, and asks whether the container stood still', async () => {
  const world = new World()
  const named = [[7, NaN, 5], [8, 3, 4]] as const // prettier-ignore
  const before = [[5, NaN, 2]] as const
  const watch = async () => playedChanges(before, named, [[9, NaN, 1]])
  const result = await runPasses(world.parts({ watch }))
  assert.deepEqual(world.steps, ['quiet', 'barrier', 'live 0', 'quiet', 'look', 'quiet', 'freeze', 'keep 0', 'count', 'thaw', 'pack']) // prettier-ignore
  assert.deepEqual(looks(world).map((look) => look.named), [[5, null, 2]]) // prettier-ignore
  assert.deepEqual(keeps(world).map((keep) => keep.named), [[7, null, 5, 8, 3, 4]]) // prettier-ignore
  assert.equal(result.freezeMethod, 'tracepoints')
})

test('a watched freeze in which nothing is named has nothing to ask', async () => {
  const world = new World()
  world.left = [{ bytes: 0 }]
  await runPasses(world.parts({ isDelta: true, watch: async () => playedChanges([], [], []) }))
  assert.deepEqual(world.steps.slice(-4), ['freeze', 'keep 0', 'thaw', 'pack'])
  assert.ok(!world.steps.includes('barrier'), 'a delta has read nothing that a write in flight could spoil')
})

test('what changes in a watched freeze makes it void, and the next one is watched again', async () => {
  const world = new World()
  world.changedFrozen = 1
  const watch = async () => playedChanges([], [], [[9, NaN, 1]], [], [])
  const result = await runPasses(world.parts({ watch }))
  assert.equal(keeps(world).length, 2)
  assert.equal(result.freezeMethod, 'tracepoints')
})

for (const [why, watch] of [
  ['before the freeze', () => playedChanges()],
  ['at the freeze', () => playedChanges([])],
  ['in the freeze', () => playedChanges([], [])],
] as const)
  test(`a watch that lost something ${why} is not asked any more: the freeze walks`, async () => {
    const world = new World()
    const result = await runPasses(world.parts({ watch: async () => watch() }))
    assert.equal(keeps(world).at(-1)?.named, undefined)
    assert.equal(result.freezeMethod, 'walk')
  })

const MANY = Array.from({ length: 50_001 }, (_, inode) => [inode, NaN, 0] as const)

test('more than a line can carry is walked for', async () => {
  const world = new World()
  const changes = playedChanges([], MANY)
  const result = await runPasses(world.parts({ watch: async () => changes }))
  assert.equal(result.freezeMethod, 'walk')
  assert.equal(changes.flaw, '50001 inodes changed at once')
})

test('before the freeze as much is looked at in two parts', async () => {
  const world = new World()
  const result = await runPasses(world.parts({ watch: async () => playedChanges(MANY, [], []) }))
  assert.deepEqual(looks(world).map((look) => look.named?.length), [150_000, 3]) // prettier-ignore
  assert.equal(result.freezeMethod, 'tracepoints')
})
