/** The bytes of a file in memory: chunks that exist, and holes between them. */
const CHUNK_BYTES = 65_536

export class MemoryContents {
  readonly #chunks = new Map<number, Buffer>()
  size = 0

  get blockCount(): number {
    return this.#chunks.size * (CHUNK_BYTES / 512)
  }

  /** Copies into `into`; returns the bytes that there were. */
  read(offset: number, bytesMax: number, into: Buffer): number {
    const end = Math.min(offset + bytesMax, this.size)
    for (let next = offset; next < end; ) {
      const within = next % CHUNK_BYTES
      const bytes = Math.min(CHUNK_BYTES - within, end - next)
      const chunk = this.#chunks.get(Math.floor(next / CHUNK_BYTES))
      if (chunk === undefined) into.fill(0, next - offset, next - offset + bytes)
      else chunk.copy(into, next - offset, within, within + bytes)
      next += bytes
    }
    return Math.max(0, end - offset)
  }

  write(offset: number, from: Buffer, start: number, bytes: number): void {
    for (let done = 0; done < bytes; ) {
      const within = (offset + done) % CHUNK_BYTES
      const step = Math.min(CHUNK_BYTES - within, bytes - done)
      const chunk = this.#chunkAt(Math.floor((offset + done) / CHUNK_BYTES))
      from.copy(chunk, within, start + done, start + done + step)
      done += step
    }
    this.size = Math.max(this.size, offset + bytes)
  }

  /** Zeros from `offset` to `end`; whole chunks become holes. The size stays. */
  zero(offset: number, end: number): void {
    for (const [index, chunk] of this.#chunks) {
      const start = index * CHUNK_BYTES
      const from = Math.max(offset - start, 0)
      const to = Math.min(end - start, CHUNK_BYTES)
      if (from >= to) continue
      if (to - from === CHUNK_BYTES) this.#chunks.delete(index)
      else chunk.fill(0, from, to)
    }
  }

  truncate(size: number): void {
    if (size < this.size) this.zero(size, this.size + CHUNK_BYTES)
    this.size = size
  }

  /** The next data or hole at or after `offset`, or undefined when there is none. */
  seek(whence: 'data' | 'hole', offset: number): number | undefined {
    if (offset >= this.size) return undefined
    const first = Math.floor(offset / CHUNK_BYTES)
    let index = first
    if (whence === 'hole') while (this.#chunks.has(index)) index++
    else index = Math.min(...[...this.#chunks.keys()].filter((each) => each >= first))
    const found = Math.max(offset, index * CHUNK_BYTES)
    if (found < this.size) return found
    return whence === 'hole' ? this.size : undefined
  }

  #chunkAt(index: number): Buffer {
    let chunk = this.#chunks.get(index)
    if (chunk === undefined) {
      chunk = Buffer.alloc(CHUNK_BYTES)
      this.#chunks.set(index, chunk)
    }
    return chunk
  }
}
