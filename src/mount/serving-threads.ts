/**
 * Threads of serving workers, which may be started before their mounts; the message that puts one on duty is a
 * WorkerStart. In a process that stands by some of them read the logs of mounts ahead, each of one.
 */
import { Worker } from 'node:worker_threads'
import { entryUrl } from '../env/entry.ts'
import { SpareThread } from '../env/spare-thread.ts'
import { followedMountsMax } from '../limits.ts'
import type { AheadRequest } from './log-ahead.ts'

class ServingThreads {
  readonly #spare = [spareThread()]
  /** By image; they are among the spare ones. */
  readonly #expected = new Map<string, SpareThread>()

  /** Starts one that the next `take` will find ready. */
  warm(): void {
    this.#spare[0].warm()
  }

  /** As SpareThread. */
  practise(): Promise<void> {
    return this.#spare[0].practise()
  }

  /** These mounts, and no others, are read ahead, as many as may be. Resolves when all that was logged is read. */
  async expect(requests: readonly AheadRequest[]): Promise<void> {
    const images = new Set(requests.map(({ image }) => image))
    const left = [...this.#expected].filter(([image]) => !images.has(image))
    for (const [image] of left) this.#expected.delete(image)
    const begun = requests.map((request) => this.#expect(request))
    // Of those that are left some have another mount now; the others have nothing to read any more.
    const idle = left.filter(([, thread]) => ![...this.#expected.values()].includes(thread))
    await Promise.all([...begun, ...idle.map(([, thread]) => thread.expect(null))])
  }

  /** For the mount of that image. The caller posts it what it is for. */
  take(image: string): Worker {
    const expected = this.#expected.get(image)
    this.#expected.delete(image)
    return (expected ?? this.#unexpected() ?? spareThread()).take()
  }

  async #expect(request: AheadRequest): Promise<void> {
    if (this.#expected.has(request.image) || this.#expected.size >= followedMountsMax) return
    let thread = this.#unexpected()
    if (thread === undefined) this.#spare.push(thread = spareThread())
    thread.warm()
    this.#expected.set(request.image, thread)
    await thread.expect(request)
  }

  #unexpected(): SpareThread | undefined {
    const expected = new Set(this.#expected.values())
    return this.#spare.find((thread) => !expected.has(thread))
  }
}

function spareThread(): SpareThread {
  // What it makes for a request is garbage with the answer.
  return new SpareThread(() => new Worker(entryUrl('./worker.ts', import.meta.url), {
    name: 'serving a mount', resourceLimits: { maxYoungGenerationSizeMb: 6 },
  }))
}

export const servingThreads = new ServingThreads()
