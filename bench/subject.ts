import { upperdirOf, type Container } from '#lab/container.ts'
import type { EngineName } from '#lab/engine.ts'
import { REFERENCE_FILES, type Tree } from '#lab/tree.ts'
import { warmUp } from './commands.ts'
import { addTree, change, SMALL_CHANGE } from './grow.ts'
import { withPlace, type Place } from './place.ts'

/** What is measured: a container with the reference work, and one with a small tree. */
export interface Subject extends Place {
  readonly container: Container
  readonly upperdir: string
  readonly tree: Tree
  readonly small: Container
}

const SMALL_FILES = 10_000

/** Start an engine, make the trees, run `work`, and remove all of it again. */
export async function withSubject<T>(name: EngineName, scale: number, work: (subject: Subject) => Promise<T>) {
  return await withPlace(name, async (place) => {
    const container = await place.start()
    const tree = await addTree(container, Math.round(REFERENCE_FILES * scale))
    // What is written anew later is there from the start: all images hold as much.
    change(container, SMALL_CHANGE)
    const small = await place.start()
    await addTree(small, Math.round(SMALL_FILES * scale))
    const upperdir = upperdirOf(container.pid)
    await warmUp(upperdir)
    return await work({ ...place, container, upperdir, tree, small })
  })
}
