import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { AppError } from '#base/errors.ts'
import { parseDestination } from './destination.ts'

const GOOD: readonly (readonly [string, string])[] = [
  ['python:3', 'docker.io/library/python:3'],
  ['localhost:5000/a/b', 'localhost:5000/a/b:latest'],
  ['reg.example/a:v1', 'reg.example/a:v1'],
  ['oci:/srv/images:v1', 'oci:/srv/images:v1'],
  ['oci:/srv/images', 'oci:/srv/images:latest'],
  ['oci:images:v1', `oci:${resolve('images')}:v1`],
]
for (const [text, full] of GOOD) {
  test(`${text} is ${full}`, () => {
    const destination = parseDestination(text)
    assert.equal(destination.text, full)
    assert.equal(destination.kind, text.startsWith('oci:') ? 'layout' : 'registry')
    assert.equal(destination.tag, full.slice(full.lastIndexOf(':') + 1))
  })
}

const BAD: readonly (readonly [string, RegExp])[] = [
  [`reg.example/a@sha256:${'0'.repeat(64)}`, /names a digest, .* name a tag instead/],
  [`reg.example/a:v1@sha256:${'0'.repeat(64)}`, /names a digest/],
  ['reg.example/A', /lower case/],
  ['https://reg.example/a:v1', /is a URL: write REGISTRY\/REPOSITORY:TAG, without https:\/\//],
  ['docker://reg.example/a:v1', /without docker:\/\//],
  ['oci://reg.example/a:v1', /without oci:\/\//],
  ['oci:', /must be oci:DIRECTORY:TAG: the directory is missing/],
  ['oci::v1', /the directory is missing/],
  ['oci:/a:b:c', /may have a colon/],
  ['oci:/a:', /the tag must be/],
  ['oci:/a:../x', /the tag must be/],
]
for (const [text, pattern] of BAD) {
  test(`${text} is refused`, () => {
    assert.throws(
      () => parseDestination(text),
      (error: unknown) => {
        assert.ok(error instanceof AppError)
        assert.equal(error.code, 'reference_invalid')
        assert.match(error.message, pattern)
        return true
      },
    )
  })
}
