/** Room for what is large, needed for a short time, and needed again: the runtime frees such buffers late. */
import { Buffer } from 'node:buffer'

export class ReusedBuffer {
  #bytes = Buffer.alloc(0)

  /** Whatever was in it before; what was taken earlier is no longer valid. */
  take(bytes: number): Buffer {
    if (bytes > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(bytes)
    return this.#bytes.subarray(0, bytes)
  }
}
