import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** An overlay of our own: what a container's root is, without a container. */
export class OverlayMount implements Disposable {
  readonly lower: string
  readonly upper: string
  readonly merged: string
  readonly #directory: string

  /** `extra`: more mount options. */
  constructor(fillLower: (lower: string) => void, extra?: string) {
    this.#directory = mkdtempSync(join(tmpdir(), 'overlay-mount-'))
    const make = (name: string) => {
      mkdirSync(join(this.#directory, name))
      return join(this.#directory, name)
    }
    this.lower = make('lower')
    this.upper = make('upper')
    this.merged = make('merged')
    fillLower(this.lower)
    const options = `lowerdir=${this.lower},upperdir=${this.upper},workdir=${make('work')}${extra ? `,${extra}` : ''}`
    execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, this.merged])
  }

  /** The lower directory as GNU tar packs it: the base image's only layer. */
  baseLayer(): Buffer {
    return execFileSync('tar', ['--numeric-owner', '--xattrs', '-C', this.lower, '-cf', '-', '.'], {
      maxBuffer: 1 << 30,
    })
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.merged])
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
