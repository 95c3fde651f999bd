import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { runLogin } from './login.ts'
import type { LoginParts } from './login.ts'
import { askPerson } from './prompt.ts'

function start(args: readonly string[], change: Partial<LoginParts> = {}) {
  const steps: unknown[] = []
  const parts: LoginParts = {
    terminal: {
      out: (text) => void steps.push(text),
      err: () => assert.fail(),
      isInteractive: false,
      columns: () => 80,
    },
    canAsk: true,
    ask: async (question, { isHidden }) => (steps.push([question, isHidden]), isHidden ? 'secret' : 'ann'),
    readInput: async () => 'piped secret\n',
    check: async (registry, { username, password }) => void steps.push(['check', registry, username, password]),
    store: async (registry, { username, password }) => (
      steps.push(['store', registry, username, password]),
      '/home/ann/.docker/config.json'
    ),
    ...change,
  }
  return { steps, exitCode: runLogin(args, parts, new AbortController().signal) }
}

test('asks, checks, and only then stores', async () => {
  const { steps, exitCode } = start(['reg.example:5000'])
  assert.equal(await exitCode, 0)
  assert.deepEqual(steps, [
    ['User name for reg.example:5000: ', false],
    ['Password: ', true],
    ['check', 'reg.example:5000', 'ann', 'secret'],
    ['store', 'reg.example:5000', 'ann', 'secret'],
    'Logged in to reg.example:5000; the login is kept in /home/ann/.docker/config.json.\n',
  ])
})

test('a script pipes the password in, less the newline at its end', async () => {
  const { steps, exitCode } = start(['docker.io', '--username', 'bob', '--password-stdin'], { canAsk: false })
  assert.equal(await exitCode, 0)
  assert.deepEqual(steps[0], ['check', 'docker.io', 'bob', 'piped secret'])
})

test('a login that the registry refuses is not stored', async () => {
  const { steps, exitCode } = start(['reg.example'], {
    check: () => Promise.reject(new AppError('registry_denied', 'No.')),
  })
  await assert.rejects(exitCode, /No\./)
  assert.equal(steps.length, 2)
})

const MISTAKES: readonly (readonly [string, readonly string[], Partial<LoginParts>, RegExp])[] = [
  ['no registry', [], {}, /needs REGISTRY/],
  ['a URL', ['https://reg.example'], {}, /is not a registry: write its host/],
  ['a repository', ['reg.example/team'], {}, /is not a registry/],
  ['a bare word', ['registry'], {}, /is not a registry/],
  ['no terminal', ['reg.example'], { canAsk: false }, /no terminal to ask.*--password-stdin/],
  ['a piped password without a name', ['reg.example', '--password-stdin'], {}, /needs --username NAME/],
  [
    'an empty password',
    ['reg.example', '--username', 'a', '--password-stdin'],
    { readInput: async () => '\n' },
    /needs a password/,
  ],
  ['a name with a colon', ['reg.example', '--username', 'a:b', '--password-stdin'], {}, /without a colon/],
]
for (const [reason, args, change, pattern] of MISTAKES) {
  test(`${reason} is refused in one sentence`, async () => {
    const { exitCode } = start(args, change)
    await assert.rejects(
      exitCode,
      (error: unknown) => error instanceof AppError && error.kind === 'invalid' && pattern.test(error.message),
    )
  })
}

function openKeyboard() {
  const keyboard = new EventEmitter()
  const modes: boolean[] = []
  const input = Object.assign(keyboard, {
    setRawMode: (on: boolean) => (modes.push(on), input),
    pause: () => input,
    resume: () => input,
  })
  let shown = ''
  const ask = (isHidden: boolean, signal = new AbortController().signal) =>
    askPerson(input as never, (text) => void (shown += text), 'Password: ', { isHidden, signal })
  return { type: (text: string) => keyboard.emit('data', Buffer.from(text)), ask, modes, shown: () => shown }
}

test('a hidden answer is not shown, and the terminal is as it was', async () => {
  const { type, ask, modes, shown } = openKeyboard()
  const answer = ask(true)
  type('secrex')
  type('\x7f')
  type('t\r')
  assert.equal(await answer, 'secret')
  assert.equal(shown(), 'Password: \n')
  assert.deepEqual(modes, [true, false])
})

test('Ctrl-C and the signal end a question', async () => {
  for (const end of ['key', 'signal']) {
    const { type, ask, modes } = openKeyboard()
    const controller = new AbortController()
    const answer = ask(true, controller.signal)
    if (end === 'key') type('abc\x03')
    else controller.abort()
    await assert.rejects(answer, /Cancelled/)
    assert.deepEqual(modes, [true, false])
  }
})
