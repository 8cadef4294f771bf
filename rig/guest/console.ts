import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { RigError } from '../errors.ts'
import { Lines } from './lines.ts'

const connectTimeoutMs = 60_000
const connectRetryMs = 20

/** A guest under TCG on a busy machine boots in tens of seconds, on a very busy one in minutes. */
const readyTimeoutMs = 400_000
const commandTimeoutMs = 120_000
const counterTimeoutMs = 120_000

/** One number that the workload committed, and when, in milliseconds since the guest's boot by its own clock. */
export interface Counter {
  readonly number: number
  readonly guestMs: number
}

/** How a command of the guest ended, and what it printed on stdout and stderr together. */
export interface CommandResult {
  readonly code: number
  readonly output: string
}

/**
 * The host's end of a guest's serial line, where the workload counts and the agent runs commands
 * (`files/agent.py` has the protocol). Any number of waits may run at the same time, one command at a time does.
 */
export class Console {
  readonly #socket: Socket
  readonly #lines = new Lines()
  #commandCount = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#lines.push(text))
    socket.on('error', (error) => this.#lines.close(`the console failed: ${error.message}`))
    socket.on('close', () => this.#lines.close('the console is closed'))
  }

  /**
   * Connects to the unix socket of a serial line (`-serial unix:PATH,server=on,wait=off`), waiting until it listens.
   * @throws RigError TIMEOUT.
   */
  static async connect(path: string, timeoutMs: number = connectTimeoutMs): Promise<Console> {
    const deadline = Date.now() + timeoutMs
    for (;;) {
      try {
        return new Console(await open(path))
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? ''
        if (!['ENOENT', 'ECONNREFUSED'].includes(code)) throw error
        if (Date.now() > deadline) throw new RigError('TIMEOUT', `no console at ${path}`, { cause: error })
      }
      await sleep(connectRetryMs)
    }
  }

  /** The index of the next line; `waitFor` and `counters` can start there. */
  get position(): number {
    return this.#lines.count
  }

  /** The last lines, for messages. */
  get tail(): string {
    return this.#lines.tail
  }

  /**
   * Waits for a line that matches; `from` is the index of the first line to look at, by default the oldest kept.
   * @throws RigError TIMEOUT, CLOSED.
   */
  async waitFor(pattern: RegExp, timeoutMs: number, from: number = 0): Promise<RegExpExecArray> {
    return (await this.#lines.find(pattern, from, timeoutMs)).match
  }

  /** Waits until the agent answers, in a guest that boots or in one that was resumed. */
  async ready(timeoutMs: number = readyTimeoutMs): Promise<void> {
    const deadline = Date.now() + timeoutMs
    for (;;) {
      const waitMs = Math.max(1, Math.min(1_000, deadline - Date.now()))
      try {
        await this.run('true', waitMs)
        return
      } catch (error) {
        if (!(error instanceof RigError) || error.code !== 'TIMEOUT' || Date.now() >= deadline) throw error
      }
    }
  }

  /** The numbers of the workload as they come, from now on or from line `from`. */
  async * counters(
    timeoutMs: number = counterTimeoutMs, from: number = this.position,
  ): AsyncGenerator<Counter, never> {
    let next = from
    for (;;) {
      const found = await this.#lines.find(/^counter (\d+) (\d+)$/, next, timeoutMs)
      next = found.next
      yield { number: Number(found.match[1]), guestMs: Number(found.match[2]) }
    }
  }

  /**
   * The next number that the workload commits, at least `least`.
   * @throws RigError TIMEOUT, CLOSED.
   */
  async counter(least: number = 0, timeoutMs: number = counterTimeoutMs): Promise<Counter> {
    const counters = this.counters(timeoutMs)
    let counter = (await counters.next()).value
    while (counter.number < least) counter = (await counters.next()).value
    return counter
  }

  /**
   * Runs a command of one line with `sh -c` in the guest.
   * @throws RigError TIMEOUT, CLOSED.
   */
  async run(command: string, timeoutMs: number = commandTimeoutMs): Promise<CommandResult> {
    const id = `${process.pid}.${++this.#commandCount}`
    let next = this.position
    // The empty line ends what an earlier, broken connection may have left half written.
    this.#socket.write(`\nrun ${id} ${command}\n`)
    const answer = new RegExp(`^(out|exit) ${id.replace('.', '\\.')} ?(.*)$`)
    const output: string[] = []
    for (;;) {
      const found = await this.#lines.find(answer, next, timeoutMs)
      next = found.next
      if (found.match[1] === 'exit') return { code: Number(found.match[2]), output: output.join('\n') }
      output.push(found.match[2])
    }
  }

  close(): void {
    this.#socket.destroy()
    this.#lines.close('the console is closed')
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

async function open(path: string): Promise<Socket> {
  return await new Promise((resolve, reject) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}
