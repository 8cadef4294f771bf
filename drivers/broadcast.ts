/** One source of events, many readers, each with a bounded queue of its own: a slow reader harms only itself. */
import { limits } from './limits.ts'

/** What a reader gets in place of events that it was too slow for. */
export interface Lost {
  readonly lost: number
}

type Waiter<T> = (result: IteratorResult<T>) => void

class Reader<T> implements AsyncIterableIterator<T> {
  readonly #queue: T[] = []
  readonly #waiters: Waiter<T>[] = []
  readonly #lostEvent: (lost: number) => T
  readonly #leave: (reader: Reader<T>) => void
  #lost = 0
  #ended = false

  constructor(lostEvent: (lost: number) => T, leave: (reader: Reader<T>) => void) {
    this.#lostEvent = lostEvent
    this.#leave = leave
  }

  push(event: T): void {
    const waiter = this.#waiters.shift()
    if (waiter) return waiter({ value: event, done: false })
    if (this.#queue.length === limits.eventsQueuedMax) {
      this.#queue.shift()
      this.#lost++
    }
    this.#queue.push(event)
  }

  end(): void {
    this.#ended = true
    for (const waiter of this.#waiters.splice(0)) waiter({ value: undefined, done: true })
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#lost > 0) {
      const lost = this.#lost
      this.#lost = 0
      return Promise.resolve({ value: this.#lostEvent(lost), done: false })
    }
    const event = this.#queue.shift()
    if (event !== undefined) return Promise.resolve({ value: event, done: false })
    if (this.#ended) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  return(): Promise<IteratorResult<T>> {
    this.#queue.length = 0
    this.#lost = 0
    this.end()
    this.#leave(this)
    return Promise.resolve({ value: undefined, done: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/**
 * Each iteration begins with the next event published. `listen` is for state that must be right before
 * anybody else sees the event: listeners are called in order, inside `publish`, before the readers.
 */
export class Broadcast<T extends object> implements AsyncIterable<T> {
  readonly #readers = new Set<Reader<T>>()
  readonly #listeners = new Set<(event: T) => void>()
  readonly #lostEvent: (lost: number) => T
  #closed = false

  constructor(lostEvent: (lost: number) => T) {
    this.#lostEvent = lostEvent
  }

  publish(event: T): void {
    if (this.#closed) return
    for (const listener of [...this.#listeners]) listener(event)
    for (const reader of this.#readers) reader.push(event)
  }

  listen(listener: (event: T) => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** Ends every reader once it has taken what is queued. Idempotent. */
  close(): void {
    this.#closed = true
    for (const reader of this.#readers) reader.end()
    this.#readers.clear()
    this.#listeners.clear()
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    const reader = new Reader<T>(this.#lostEvent, (left) => void this.#readers.delete(left))
    if (this.#closed) reader.end()
    else this.#readers.add(reader)
    return reader
  }
}
