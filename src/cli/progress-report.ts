/**
 * Takes the progress of a call and has it shown once the call has run for a second. With `--json --progress`
 * each becomes a line on standard output at once.
 */
import type { Progress } from '../image/types.ts'
import type { CommonOptions } from './arguments.ts'
import type { ProgressDisplay } from './progress-display.ts'

const quietStartMs = 1000

export class ProgressReport implements Disposable {
  readonly #asJson: boolean
  readonly #timer: NodeJS.Timeout | null
  #latest: Progress | null = null
  #display: ProgressDisplay | null = null
  #closed = false

  constructor({ json, quiet, progress }: CommonOptions) {
    this.#asJson = json && progress
    this.#timer = quiet || this.#asJson ? null : setTimeout(() => void this.#begin(), quietStartMs)
    this.#timer?.unref()
  }

  readonly note = (progress: Progress): void => {
    if (this.#closed) return
    if (this.#asJson) process.stdout.write(`${JSON.stringify({ progress })}\n`)
    this.#latest = progress
    this.#display?.show(progress)
  }

  /** Takes the shown line away. */
  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#display?.close()
    this.#display = null
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #begin(): Promise<void> {
    const { ProgressDisplay } = await import('./progress-display.ts')
    if (this.#closed) return
    this.#display = new ProgressDisplay(process.stderr)
    if (this.#latest !== null) this.#display.show(this.#latest)
  }
}
