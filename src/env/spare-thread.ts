/**
 * Threads of one kind, of which one may be started before it is wanted: loading its code takes longer than all that is
 * waited for later. What it is for it learns from the first message, so it knows nothing before.
 */
import { once } from 'node:events'
import { flushCompileCache } from 'node:module'
import { parentPort } from 'node:worker_threads'
import type { Worker } from 'node:worker_threads'
import { freeGarbage } from './free-garbage.ts'

export class SpareThread {
  readonly #start: () => Worker
  #spare: Worker | null = null

  constructor(start: () => Worker) {
    this.#start = start
  }

  /** Starts one that the next `take` will find ready; it does not keep the process alive. */
  warm(): void {
    if (this.#spare !== null) return
    const thread = this.#start()
    this.#spare = thread
    thread.unref()
    const forget = (): void => {
      if (this.#spare === thread) this.#spare = null
    }
    thread.once('exit', forget)
    // One that could not be started is not missed: the next one is started when wanted, and says why it cannot.
    thread.once('error', forget)
  }

  /** Has the one that was started get ready as `onDuty` says. Resolves when it is, or is no spare one any more. */
  async practise(): Promise<void> {
    await this.#ask(practice)
  }

  async #ask(what: string | object): Promise<void> {
    const thread = this.#spare
    if (thread === null) return
    const isOver = Promise.race([once(thread, 'message'), once(thread, 'exit')])
    thread.postMessage(what)
    // A thread that cannot be loaded is told of by the next one that is started.
    await isOver.catch(() => undefined)
  }

  /**
   * Tells the one that was started what it will probably be for, so that it begins with what can be done ahead.
   * Resolves when that is done as far as it can be, or there is no spare one any more.
   */
  async expect(what: object | null): Promise<void> {
    await this.#ask({ [expected]: what })
  }

  /** The caller posts it what it is for. */
  take(): Worker {
    const thread = this.#spare ?? this.#start()
    this.#spare = null
    thread.ref()
    return thread
  }
}

const practice = 'practise'
const expected = 'expected'

/**
 * In such a thread: `begin` gets the message that says what it is for. Before that it may be asked to `practise`, which
 * should let the event loop turn, and end early when it `isWanted`; and be told what it is `expect`ed to be for.
 */
export function onDuty<T extends object>(
  begin: (what: T) => void, practise: (isWanted: () => boolean) => Promise<void>,
  expect: (what: object | null) => Promise<void> = async () => undefined,
): void {
  const port = parentPort
  if (port === null) return
  let isWanted = false
  const done = (): void => {
    if (!isWanted) port.postMessage(practice)
  }
  const receive = (message: T | typeof practice | { [expected]: object | null }): void => {
    if (message === practice) return void getReady()
    if (expected in message) return void expect(message[expected]).then(done)
    isWanted = true
    port.off('message', receive)
    begin(message)
  }
  const getReady = async (): Promise<void> => {
    await practise(() => isWanted)
    flushCompileCache()
    if (!isWanted) freeGarbage()
    done()
  }
  port.on('message', receive)
}
