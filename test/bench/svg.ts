import assert from 'node:assert/strict'
import { runProgram } from '#base/process.ts'

const PARSE = `
import json, sys, xml.etree.ElementTree as tree
for text in json.load(sys.stdin):
    root = tree.fromstring(text)
    assert root.tag == '{http://www.w3.org/2000/svg}svg', root.tag
`

/** Python's parser of XML takes each of the texts, and the root is an svg. */
export async function requireWellFormed(texts: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await runProgram('python3', ['-c', PARSE], { input: JSON.stringify(texts) })
  assert.equal(exitCode, 0, stderr)
}

export function circlesOf(svg: string): number {
  return svg.match(/<circle /g)?.length ?? 0
}
