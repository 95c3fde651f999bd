import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A file system of its own in memory: it holds larger attributes, sizes and times than ext4 does. */
export class Tmpfs implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'jail-tmpfs-'))

  constructor() {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512m', 'jail-test', this.path])
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.path])
    rmdirSync(this.path)
  }
}
