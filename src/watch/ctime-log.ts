/** One inode whose ctime was set. */
export interface ChangedInode {
  readonly inode: number
  /** Seconds since 1970 of the ctime that was set; NaN where the event does not say, or more than one was set: then it changed. */
  readonly ctimeSec: number
  readonly ctimeNsec: number
}

/** More than a capture can hold in memory at a reasonable price: a container that makes as many gets the walk. */
const MOST_INODES = 2_000_000
/** `-256 … -1`, printed as signed: what btrfs keeps for itself, never a file (BTRFS_LAST_FREE_OBJECTID). */
const OWN_INODES = -256
const QUOTED_BYTES = 80

const bytesOf = (text: string) => Buffer.from(text, 'latin1')
const OLD = bytesOf(' old=')
const NEW = bytesOf(' new=')
const CUR = bytesOf(' cur=')
const CTIME = bytesOf(' ctime=')
const [LINE_END, COLON, DOT, MINUS, ZERO, QUERIED] = bytesOf('\n:.-0Q')

/**
 * What the lines of trace_pipe say, kept as one entry for each inode. The two events, as print_fmt of the kernel has them:
 *
 *     ctime_ns_xchg: ino=254:0:1234:56 old=271512676:Q new=295512677 cur=271512676:Q
 *     inode_set_ctime_to_ts: ino=254:0:1234:56 ctime=1795541387.295512677
 *
 * A line that is not exactly one of them is a flaw: nothing is skipped, for a skipped line may be a change.
 */
export class CtimeLog {
  readonly #exchanged: Uint8Array
  readonly #stored: Uint8Array
  readonly #mostInodes: number
  #inodes = new Map<number, ChangedInode>()
  #lines = 0
  #flaw: string | undefined
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0

  /** `device` as `major:minor`: the filter lets nothing else pass. */
  constructor(device: string, mostInodes = MOST_INODES) {
    this.#exchanged = bytesOf(`ctime_ns_xchg: ino=${device}:`)
    this.#stored = bytesOf(`inode_set_ctime_to_ts: ino=${device}:`)
    this.#mostInodes = mostInodes
  }

  get inodes(): ReadonlyMap<number, ChangedInode> {
    return this.#inodes
  }

  /** Events that were taken, to be held against the kernel's own count. */
  get lines(): number {
    return this.#lines
  }

  /** The first line that says that something is missing, or says nothing that we know. */
  get flaw(): string | undefined {
    return this.#flaw
  }

  /** Begin anew with the inodes, in another map; the count of lines goes on. */
  forget(): void {
    this.#inodes = new Map()
  }

  /** Take the whole lines among the first `length` of `bytes`; returns how many bytes they are. After a flaw nothing is taken. */
  take(bytes: Uint8Array, length: number): number {
    this.#bytes = bytes
    const whole = length === 0 ? 0 : bytes.lastIndexOf(LINE_END ?? 0, length - 1) + 1
    let taken = 0
    while (taken < whole && this.#flaw === undefined) {
      this.#at = taken
      if (!this.#event()) {
        this.#flaw ??= `the trace says ${this.#quote(taken)}`
        break
      }
      taken = this.#at
      this.#lines++
    }
    return taken
  }

  #event(): boolean {
    return this.#is(this.#exchanged) ? this.#exchange() : this.#is(this.#stored) && this.#store()
  }

  /** inode_set_ctime_current(): always a change, whose seconds are not printed. */
  #exchange(): boolean {
    const inode = this.#inode()
    const isOld = this.#is(OLD) && this.#stamp()
    const isNew = isOld && this.#is(NEW)
    const ctimeNsec = this.#unsigned()
    if (!(isNew && ctimeNsec >= 0 && this.#is(CUR) && this.#stamp() && this.#isByte(LINE_END))) return false
    return this.#name(inode, NaN, ctimeNsec)
  }

  /** inode_set_ctime_to_ts(): a change, or an inode that was read from the disk with the ctime that it had. */
  #store(): boolean {
    const inode = this.#inode()
    const ctimeSec = this.#is(CTIME) ? this.#signed() : NaN
    const isTime = !Number.isNaN(ctimeSec) && this.#isByte(DOT)
    const ctimeNsec = this.#unsigned()
    if (!(isTime && ctimeNsec >= 0 && this.#isByte(LINE_END))) return false
    return this.#name(inode, ctimeSec, ctimeNsec)
  }

  #name(inode: number, ctimeSec: number, ctimeNsec: number): boolean {
    if (!Number.isSafeInteger(inode) || inode < OWN_INODES) return false
    if (inode < 0) return true
    const known = this.#inodes.get(inode)
    if (known === undefined) return this.#add({ inode, ctimeSec, ctimeNsec })
    if (Number.isNaN(known.ctimeSec) || (known.ctimeSec === ctimeSec && known.ctimeNsec === ctimeNsec)) return true
    this.#inodes.set(inode, { inode, ctimeSec: NaN, ctimeNsec })
    return true
  }

  #add(changed: ChangedInode): boolean {
    if (this.#inodes.size >= this.#mostInodes) {
      this.#flaw = `more than ${this.#mostInodes} inodes changed`
      return false
    }
    this.#inodes.set(changed.inode, changed)
    return true
  }

  /** `1234:56`: inode and generation. NaN when it is none. */
  #inode(): number {
    const inode = this.#signed()
    return this.#isByte(COLON) && this.#unsigned() >= 0 ? inode : NaN
  }

  /** `271512676:Q` or `271512676:`: nanoseconds, and whether somebody had asked for them. */
  #stamp(): boolean {
    if (this.#unsigned() < 0 || !this.#isByte(COLON)) return false
    if (this.#bytes[this.#at] === QUERIED) this.#at++
    return true
  }

  #signed(): number {
    const isNegative = this.#isByte(MINUS)
    const value = this.#unsigned()
    if (value < 0) return NaN
    return isNegative ? -value : value
  }

  /** Digits from here on as a number, or -1 when there are none. */
  #unsigned(): number {
    const start = this.#at
    let value = 0
    for (;;) {
      const digit = (this.#bytes[this.#at] ?? 0) - (ZERO ?? 0)
      if (!(digit >= 0 && digit <= 9)) return this.#at === start ? -1 : value
      value = value * 10 + digit
      this.#at++
    }
  }

  #is(text: Uint8Array): boolean {
    for (let index = 0; index < text.length; index++) {
      if (this.#bytes[this.#at + index] !== text[index]) return false
    }
    this.#at += text.length
    return true
  }

  #isByte(byte: number | undefined): boolean {
    if (this.#bytes[this.#at] !== byte) return false
    this.#at++
    return true
  }

  #quote(from: number): string {
    const line = Buffer.from(this.#bytes.subarray(from, from + QUOTED_BYTES)).toString('latin1')
    return JSON.stringify(line.split('\n', 1)[0])
  }
}
