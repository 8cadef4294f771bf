/** The numbers that a guest's workload prints and when they came: what a pause looks like from outside. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Console } from '../../rig/guest/console.ts'
import type { Counter } from '../../rig/guest/console.ts'

export interface SeenCounter extends Counter {
  /** Our clock when the line came. */
  readonly seenMs: number
}

/** Longer than any bench leaves a guest alone: `waitFor` is who notices that nothing comes. */
const silenceMsMax = 600_000

export class CounterWatch implements Disposable {
  readonly seen: SeenCounter[] = []
  readonly #console: Console
  readonly #ended: Promise<unknown>

  private constructor(console: Console) {
    this.#console = console
    this.#ended = this.#read().catch((error: unknown) => error)
  }

  /** Connects to a serial line and waits for a number, so for a guest that has booted. */
  static async open(socketPath: string, timeoutMs = 180_000): Promise<CounterWatch> {
    const watch = new CounterWatch(await Console.connect(socketPath))
    try {
      await watch.waitFor(1, timeoutMs)
      return watch
    } catch (error) {
      watch.close()
      throw error
    }
  }

  /** Waits until that many more numbers have come. */
  async waitFor(count: number, timeoutMs = 60_000): Promise<void> {
    const goal = this.seen.length + count
    const deadlineMs = performance.now() + timeoutMs
    while (this.seen.length < goal) {
      if (performance.now() > deadlineMs) throw new Error(`the guest does not count:\n${this.#console.tail}`)
      await Promise.race([sleep(5), this.#ended])
    }
  }

  /** Times between neighbours that were seen within these moments, by our clock. */
  gapsMs(fromMs: number, toMs: number): number[] {
    const within = this.seen.filter(({ seenMs }) => seenMs >= fromMs && seenMs <= toMs)
    return within.slice(1).map(({ seenMs }, index) => seenMs - within[index].seenMs)
  }

  close(): void {
    this.#console.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #read(): Promise<void> {
    for await (const counter of this.#console.counters(silenceMsMax)) {
      this.seen.push({ ...counter, seenMs: performance.now() })
    }
  }
}
