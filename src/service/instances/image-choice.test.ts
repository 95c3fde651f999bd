import assert from 'node:assert/strict'
import { test } from 'node:test'
import { anInstance } from '#lab/instances.ts'
import { forEachStore } from '#lab/stores.ts'
import { digestOf } from '#oci/digest.ts'
import { usesImage } from './image-choice.ts'

const DIGEST = digestOf('the image')
const OTHER = digestOf('another image')
const SAVED = { uri: 'r.example.com/lab/my_app:v1', digest: DIGEST, imageId: 'image-7' }
const LATEST = { ...SAVED, uri: 'r.example.com/lab/my_app:latest' }
const HUB = { ...SAVED, uri: 'docker.io/library/app:v1' }

const CASES: readonly (readonly [string, typeof SAVED, { imageUrl: string; imageId?: string }, boolean])[] = [
  ['its reference', SAVED, { imageUrl: 'r.example.com/lab/my_app:v1' }, true],
  ['its reference, the host in capitals', SAVED, { imageUrl: 'R.Example.com/lab/my_app:v1' }, true],
  ['its digest', SAVED, { imageUrl: `r.example.com/lab/my_app@${DIGEST}` }, true],
  ['its digest, behind another tag', SAVED, { imageUrl: `r.example.com/lab/my_app:v2@${DIGEST}` }, true],
  ['its tag, but the digest of another image', SAVED, { imageUrl: `r.example.com/lab/my_app:v1@${OTHER}` }, false],
  ['another tag of the repository', SAVED, { imageUrl: 'r.example.com/lab/my_app:v11' }, false],
  ['no tag, which is another one', SAVED, { imageUrl: 'r.example.com/lab/my_app' }, false],
  ['no tag, which is its own', LATEST, { imageUrl: 'r.example.com/lab/my_app' }, true],
  ['a repository whose name ends as its own', SAVED, { imageUrl: 'r.example.com/x/lab/my_app:v1' }, false],
  ['a repository that a pattern would take for its own', SAVED, { imageUrl: 'r.example.com/lab/my-app:v1' }, false],
  ['the same in another registry', SAVED, { imageUrl: 's.example.com/lab/my_app:v1' }, false],
  ['its digest in another repository', SAVED, { imageUrl: `r.example.com/lab/other@${DIGEST}` }, false],
  ['the short name of an image of Docker Hub', HUB, { imageUrl: 'app:v1' }, true],
  ['the old name of Docker Hub', HUB, { imageUrl: 'index.docker.io/library/app:v1' }, true],
  ['its id in the catalogue', SAVED, { imageUrl: 'x.example.com/moved:v1', imageId: 'image-7' }, true],
  ['another id', SAVED, { imageUrl: 'x.example.com/moved:v1', imageId: 'image-8' }, false],
]

forEachStore('an image is in use by an instance', (open) => {
  test('that was made from', async (t) => {
    for (const [name, saved, made, expected] of CASES)
      await t.test(name, async () => {
        const store = await open()
        assert.equal(await usesImage(store, saved), false, 'there is no instance yet')
        await store.instances.insert(anInstance({ instanceId: 'dsw-other' }))
        await store.instances.insert(anInstance({ status: 'Stopped', ...made }))
        assert.equal(await usesImage(store, saved), expected)
      })
  })
})
