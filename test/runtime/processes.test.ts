/** What runs in an instance (design.md §5): OnStart, JupyterLab, the image's own command, and what keeps it alive. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { debianImage } from '#lab/images.ts'
import { labEngine, whyNoEngine } from '#lab/engine.ts'
import { JUPYTER_PORT, type LogOptions, type RuntimeHandle } from '#runtime/runtime.ts'
import { ended, eventually, imageWith, instanceEngines, openTestRuntime, type TestRuntime } from './instances.ts'

/** Stands in for JupyterLab: it says how it was called. */
const JUPYTER = `#!/bin/sh
echo "called: $*"; echo "token: $JUPYTER_TOKEN in $(pwd)"; sleep 1000`

const logs = ({ runtime }: TestRuntime, handle: RuntimeHandle, source: LogOptions['source']) =>
  runtime.logs(handle, { source, tail: 100 })
const shows = async (lab: TestRuntime, handle: RuntimeHandle, line: RegExp, source: LogOptions['source'] = 'system') =>
  await eventually(
    () => logs(lab, handle, source),
    (lines) => lines.some((each) => line.test(each)),
  )

for (const name of instanceEngines())
  test(`${name}: what runs in an instance`, { skip: whyNoEngine(name), concurrency: 4 }, async (t) => {
    await using engine = await labEngine(name)
    await using lab = await openTestRuntime(engine)
    const { runtime } = lab
    const imageOf = (label: string, cmd: string) => imageWith(engine, label, { lines: [cmd] })
    const cases: Promise<void>[] = []
    const each = (reason: string, run: () => Promise<void>) => void cases.push(t.test(reason, run))

    each('a shell that ends at once leaves the instance alive, at no cost', async () => {
      const handle = await lab.run()
      await shows(lab, handle, /ended at once, with 0: the instance is kept alive/)
      assert.equal((await runtime.inspect(handle))?.status, 'running')
      assert.equal(await lab.exec(handle, 'echo', 'alive'), 'alive')
    })

    each('a command that is not there leaves it alive, and says so', async () => {
      const handle = await lab.run({ imageUrl: await imageOf('cmd-missing', 'CMD ["/no/such/program"]') })
      await shows(lab, handle, /ended at once, with 127/)
      assert.match((await logs(lab, handle, 'container')).join('\n'), /\/no\/such\/program/)
    })

    each('no command at all leaves it alive', async () => {
      const handle = await lab.run({ imageUrl: await imageOf('cmd-none', 'CMD []') })
      await shows(lab, handle, /kept alive/)
    })

    each('a name of a function of our own script is a program of the image', async () => {
      const imageUrl = await imageWith(engine, 'cmd-say', {
        files: { 'bin/say': '#!/bin/sh\necho "said $1"; sleep 1000\n' },
        lines: ['CMD ["say", "with  two spaces"]'],
      })
      const handle = await lab.run({ imageUrl })
      assert.deepEqual(await shows(lab, handle, /said/, 'container'), ['said with  two spaces'])
    })

    each('entrypoint and command of the image run as they are, without a shell between', async () => {
      const imageUrl = await imageOf('cmd-odd', `ENTRYPOINT ["printf", "<%s>"]\nCMD ["$HOME", "a'b\\"c", "", "* ;"]`)
      const handle = await lab.run({ imageUrl })
      assert.deepEqual(await shows(lab, handle, /</, 'container'), [`<$HOME><a'b"c><><* ;>`])
    })

    each('a command that has run for a while ends the instance, with its code', async () => {
      const handle = await lab.run({ imageUrl: await imageOf('cmd-later', 'CMD ["sh", "-c", "sleep 11; exit 42"]') })
      const state = await ended(runtime, handle)
      assert.equal(state.exitCode, 42)
      assert.ok(state.finishedMs! - state.startedMs! >= 10_000)
    })

    each('a stop reaches the command, which ends in its own way', async () => {
      const trap = `trap 'echo tidied; exit 7' TERM; echo ready; while :; do sleep 0.1; done`
      const handle = await lab.run({ imageUrl: await imageOf('cmd-term', `CMD ["sh", "-c", ${JSON.stringify(trap)}]`) })
      await shows(lab, handle, /ready/, 'container')
      await runtime.stop(handle, { graceSeconds: 60 })
      assert.ok((await logs(lab, handle, 'container')).includes('tidied'))
      assert.equal((await runtime.inspect(handle))?.exitCode, 7)
    })

    each('an image that stops by SIGINT is asked by that', async () => {
      const trap = `trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.1; done`
      const lines = `STOPSIGNAL SIGINT\nCMD ["sh", "-c", ${JSON.stringify(trap)}]`
      const handle = await lab.run({ imageUrl: await imageOf('cmd-int', lines) })
      await shows(lab, handle, /ready/, 'container')
      await runtime.stop(handle, { graceSeconds: 60 })
      assert.ok((await logs(lab, handle, 'container')).includes('interrupted'))
    })

    each('one that is kept alive stops without waiting for the grace', async () => {
      const handle = await lab.run()
      await shows(lab, handle, /kept alive/)
      const startMs = performance.now()
      await runtime.stop(handle, { graceSeconds: 60 })
      assert.ok(performance.now() - startMs < 45_000)
    })

    each('a command that does not want to end is ended after the grace', async () => {
      const stubborn = `trap '' TERM INT; echo ready; while :; do sleep 1; done`
      const lines = `CMD ["sh", "-c", ${JSON.stringify(stubborn)}]`
      const handle = await lab.run({ imageUrl: await imageOf('cmd-stubborn', lines) })
      await shows(lab, handle, /ready/, 'container')
      await runtime.stop(handle, { graceSeconds: 1 })
      assert.equal((await runtime.inspect(handle))?.exitCode, 137)
    })

    each('OnStart runs beside the command, its output is the system log alone', async () => {
      const imageUrl = await imageOf('cmd-hello', 'CMD ["sh", "-c", "echo hello; sleep 1000"]')
      const onStart = `echo one; echo two >&2; printf 'no end'; echo $0; exit 3`
      const handle = await lab.run({ imageUrl, onStart })
      const seen = await shows(lab, handle, /OnStart has ended with 3/)
      assert.deepEqual(seen.slice(0, 2), ['one', 'two'])
      assert.ok(seen.includes('no end/.tintype/on-start'))
      assert.deepEqual(await shows(lab, handle, /hello/, 'container'), ['hello'])
    })

    each('OnStart that never ends holds nothing up, and runs again at the next start', async () => {
      const handle = await lab.run({ onStart: 'echo begun; while :; do sleep 1; done' })
      await shows(lab, handle, /begun/)
      await shows(lab, handle, /kept alive/)
      await runtime.stop(handle, { graceSeconds: 5 })
      const stoppedMs = (await runtime.inspect(handle))!.finishedMs!
      await runtime.start(handle)
      const since = () => runtime.logs(handle, { source: 'system', tail: 100, sinceMs: stoppedMs })
      await eventually(since, (lines) => lines.includes('begun'))
    })

    each('OnStart with odd characters, many lines, and an interpreter of its own', async () => {
      const onStart = `#!/bin/awk -f\nBEGIN { print "from awk '\\"$HOME ſ中" }\n# ' unbalanced "`
      const handle = await lab.run({ onStart })
      const seen = await shows(lab, handle, /OnStart has ended/)
      assert.equal(
        seen.find((line) => line.startsWith('from awk')),
        `from awk '"$HOME ſ中`,
      )
    })

    each('on Debian OnStart is a script for bash', async () => {
      const imageUrl = await debianImage(engine)
      const handle = await lab.run({ imageUrl, onStart: 'words=(a b c); echo "${words[2]} by bash"' })
      await shows(lab, handle, /^c by bash$/)
      await shows(lab, handle, /kept alive/)
    })

    each('JupyterLab is started where the image has it, with base URL and token', async () => {
      const imageUrl = await imageWith(engine, 'jupyter', { files: { 'bin/jupyter-lab': JUPYTER } })
      const handle = await lab.run({ imageUrl, accessToken: `t'o"k $n`, basePath: '/dsw-7/' })
      const seen = await shows(lab, handle, /token/)
      assert.match(
        seen.find((line) => line.startsWith('called'))!,
        new RegExp(`--port=${JUPYTER_PORT} .*base_url=/dsw-7/$`),
      )
      assert.ok(seen.includes(`token: t'o"k $n in /mnt/workspace`))
      const environments =
        'for each in /proc/[0-9]*; do tr "\\0" "\\n" < $each/environ; done | grep -c "^JUPYTER_TOKEN"'
      assert.ok(Number(await lab.exec(handle, 'sh', '-c', environments)) <= 2, 'JupyterLab and what it starts')
      const arguments_ = await lab.exec(handle, 'sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "')
      assert.ok(!arguments_.includes(`t'o"k`), 'the token is on no command line')
    })

    each('a user without rights has the same', async () => {
      const imageUrl = await imageWith(engine, 'plain-user', {
        files: { 'bin/jupyter-lab': JUPYTER },
        lines: ['USER 1000:1000'],
      })
      const handle = await lab.run({ imageUrl, onStart: 'id -u' })
      await shows(lab, handle, /^1000$/)
      await shows(lab, handle, /^token: a-token/)
    })

    await Promise.all(cases)
  })
