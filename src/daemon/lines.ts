/** Cuts a stream of bytes into lines of UTF-8 text, holding no more than one line of a bounded length. */
import { Buffer } from 'node:buffer'
import { nonsense } from './protocol.ts'

const newline = 0x0a

export class LineReader {
  readonly #lineBytesMax: number
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #parts: Buffer[] = []
  #partBytes = 0

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax
  }

  /** The lines that the bytes complete; DAEMON for one that is too long or not UTF-8. Empty lines are skipped. */
  *push(bytes: Buffer): Generator<string> {
    let from = 0
    for (;;) {
      const to = bytes.indexOf(newline, from)
      this.#hold(bytes.subarray(from, to < 0 ? bytes.length : to))
      if (to < 0) return
      const line = this.#take()
      if (line !== '') yield line
      from = to + 1
    }
  }

  #hold(part: Buffer): void {
    this.#partBytes += part.length
    if (this.#partBytes > this.#lineBytesMax) throw nonsense(`it is longer than ${this.#lineBytesMax} bytes`)
    if (part.length > 0) this.#parts.push(part)
  }

  #take(): string {
    const line = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts)
    this.#parts = []
    this.#partBytes = 0
    try {
      return this.#decoder.decode(line)
    } catch {
      throw nonsense('it is not UTF-8')
    }
  }
}
