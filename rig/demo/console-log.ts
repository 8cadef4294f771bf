import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DemoFailure } from './failure.ts'
import type { Machine } from './records.ts'

const pollMs = 50

/** What a guest says when it boots: its firmware, its kernel, systemd, the agent of the demo's guest. */
const bootMessage = /SeaBIOS|Booting|Linux version|Command line:|systemd\[1\]|^ready \d+$/

/** How far a log had come at some moment. */
export interface LogMark {
  readonly path: string
  readonly inode: number
  readonly bytes: number
}

/**
 * All that a guest wrote to its serial line, from the hypervisor's log of it. Unlike the console's socket, the
 * log misses nothing of what a resumed guest says before anyone has connected.
 */
export class ConsoleLog {
  readonly #path: string
  readonly #startBytes: number

  /** Without what `mark` says was there before. */
  constructor(machine: Machine, mark?: LogMark) {
    this.#path = join(dirname(machine.console), 'console.log')
    const continued = mark?.path === this.#path && existsSync(this.#path) && statSync(this.#path).ino === mark.inode
    this.#startBytes = continued ? mark.bytes : 0
  }

  mark(): LogMark {
    const { ino: inode, size: bytes } = statSync(this.#path)
    return { path: this.#path, inode, bytes }
  }

  /** The whole lines so far. */
  lines(): string[] {
    if (!existsSync(this.#path)) return []
    const text = readFileSync(this.#path).subarray(this.#startBytes).toString('latin1')
    return text.split('\n').slice(0, -1).map((line) => line.replaceAll('\r', ''))
  }

  /** The numbers that the workload said it committed. Half a line, as a cut can leave it, is none. */
  counters(): number[] {
    return this.lines().flatMap((line) => /^counter (\d+) \d+$/.exec(line)?.[1] ?? []).map(Number)
  }

  bootMessages(): string[] {
    return this.lines().filter((line) => bootMessage.test(line))
  }

  /**
   * Waits until `count` numbers above `least` were said and returns all that were.
   * @throws DemoFailure when it takes too long.
   */
  async waitForCounters(count: number, least: number, timeoutMs: number, signal: AbortSignal): Promise<number[]> {
    const deadlineMs = performance.now() + timeoutMs
    for (;;) {
      const numbers = this.counters()
      if (numbers.filter((number) => number > least).length >= count) return numbers
      if (performance.now() > deadlineMs) {
        const tail = this.lines().slice(-10).join('\n')
        throw new DemoFailure(`the guest did not count beyond ${least} in ${timeoutMs} ms; its last lines:\n${tail}`)
      }
      await sleep(pollMs, undefined, { signal })
    }
  }
}
