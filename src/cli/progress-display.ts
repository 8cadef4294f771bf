/** Shows progress to people: on a terminal one line that is rewritten, else a line every few seconds. */
import type { Writable } from 'node:stream'
import { systemEnv } from '../env/system.ts'
import type { Progress } from '../image/types.ts'
import { bytesText, durationText } from './text/units.ts'

const terminalIntervalMs = 200
const lineIntervalMs = 5000
/** A rate over less time than this says nothing. */
const rateMinMs = 500

export class ProgressDisplay {
  readonly #stream: Writable & { isTTY?: boolean; columns?: number }
  readonly #nowMs: () => number
  #step = ''
  #stepStartMs = 0
  #stepStartDone = 0
  #shownMs = -Infinity

  constructor(stream: Writable & { isTTY?: boolean; columns?: number }, nowMs = () => systemEnv().monotonicMs()) {
    this.#stream = stream
    this.#nowMs = nowMs
  }

  show(progress: Progress): void {
    const nowMs = this.#nowMs()
    if (progress.step !== this.#step) {
      this.#step = progress.step
      this.#stepStartMs = nowMs
      this.#stepStartDone = progress.done
    }
    if (nowMs - this.#shownMs < (this.#stream.isTTY ? terminalIntervalMs : lineIntervalMs)) return
    this.#shownMs = nowMs
    const elapsedMs = nowMs - this.#stepStartMs
    this.#write(progressText(progress, progress.done - this.#stepStartDone, elapsedMs))
  }

  close(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[K')
  }

  #write(text: string): void {
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[K${text.slice(0, (this.#stream.columns ?? 80) - 1)}`)
    else this.#stream.write(`${text}\n`)
  }
}

/** `read base: 1.2 GiB of 2.0 GiB, 340 MiB/s, 3 s left`; `recentDone` was done in `elapsedMs`. */
export function progressText(progress: Progress, recentDone: number, elapsedMs: number): string {
  const { step, done, total } = progress
  const parts = [`${step}: ${amount(progress, done)}${total > 0 ? ` of ${amount(progress, total)}` : ''}`]
  if (elapsedMs >= rateMinMs && recentDone > 0) {
    const perMs = recentDone / elapsedMs
    parts.push(`${amount(progress, Math.round(perMs * 1000))}/s`)
    if (total > done) parts.push(`${durationText((total - done) / perMs)} left`)
  }
  return parts.join(', ')
}

function amount({ unit }: Progress, value: number): string {
  return unit === 'bytes' ? bytesText(value) : `${value.toLocaleString('en')} ${unit}`
}
