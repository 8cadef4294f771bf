/**
 * How far the disk lane of a log is known to be durable: a number that the thread which syncs tells the one which
 * writes, whose next records say so. After a crash they prove that what is missing before them was synced once.
 */
export class SyncMark {
  readonly shared: SharedArrayBuffer
  readonly #cell: BigInt64Array

  /** Of the other thread's `shared`, or a new one. */
  constructor(shared = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)) {
    this.shared = shared
    this.#cell = new BigInt64Array(shared)
  }

  /** Of the last record that is durable with all before it in its lane; 0: not known. */
  get sequence(): number {
    return Number(Atomics.load(this.#cell, 0))
  }

  raise(sequence: number): void {
    if (sequence > this.sequence) Atomics.store(this.#cell, 0, BigInt(sequence))
  }
}
