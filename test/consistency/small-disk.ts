import { execFileSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const DISK_BYTES = 64 << 20
const INODES = 4096

/** A file system of the test's own (ext4): nobody else changes files on it, or writes back what the test wants to stay dirty. */
export class SmallDisk implements Disposable {
  readonly directory: string
  readonly #home: string

  constructor(inodes = INODES) {
    this.#home = mkdtempSync(join(tmpdir(), 'small-disk-'))
    const image = join(this.#home, 'image')
    writeFileSync(image, '')
    truncateSync(image, DISK_BYTES)
    execFileSync('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0', '-N', String(inodes), image])
    const mountPoint = join(this.#home, 'disk')
    mkdirSync(mountPoint)
    execFileSync('mount', ['-o', 'loop', image, mountPoint])
    this.directory = join(mountPoint, 'upper')
    mkdirSync(this.directory)
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [join(this.#home, 'disk')])
    rmSync(this.#home, { recursive: true })
  }
}
