import { DriverError } from '../errors.ts'

/** Cuts a byte stream into lines of bounded length, whatever pieces it comes in. Once it has failed it stays failed. */
export class LineDecoder {
  readonly #lineBytesMax: number
  #pieces: Buffer[] = []
  #pendingBytes = 0
  #failed = false

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax
  }

  /**
   * The lines that `bytes` completes, without their line ends; empty lines are left out.
   * @throws DriverError PROTOCOL when a line is longer than allowed
   */
  push(bytes: Buffer): string[] {
    if (this.#failed) throw this.#tooLong()
    const lines: string[] = []
    let start = 0
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
      this.#keep(bytes.subarray(start, end))
      const line = Buffer.concat(this.#pieces, this.#pendingBytes).toString('utf8').trim()
      this.#pieces = []
      this.#pendingBytes = 0
      if (line !== '') lines.push(line)
      start = end + 1
    }
    this.#keep(bytes.subarray(start))
    return lines
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return
    this.#pendingBytes += piece.length
    if (this.#pendingBytes > this.#lineBytesMax) {
      this.#failed = true
      this.#pieces = []
      throw this.#tooLong()
    }
    this.#pieces.push(piece)
  }

  #tooLong(): DriverError {
    return new DriverError('PROTOCOL', `A line of the control connection is longer than ${this.#lineBytesMax} bytes.`)
  }
}
