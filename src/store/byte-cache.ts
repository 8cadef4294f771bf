/** Decoded chunks by id, the least recently used dropped first, bounded by their bytes. */
import type { Buffer } from 'node:buffer'

export class ByteCache {
  readonly #bytesMax: number
  readonly #entries = new Map<string, Buffer>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get(key: string): Buffer | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  set(key: string, value: Buffer): void {
    this.delete(key)
    if (value.length > this.#bytesMax) return
    this.#entries.set(key, value)
    this.#bytes += value.length
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const value = this.#entries.get(key)
    if (value === undefined) return
    this.#entries.delete(key)
    this.#bytes -= value.length
  }

  get bytes(): number {
    return this.#bytes
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }
}
