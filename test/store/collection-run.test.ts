/**
 * Random writers that put, commit, fork and remove beside collections of garbage that never end: whatever a committed
 * root names can be read, always. HOLDFAST_GC_STEPS sets the length: a million take some minutes.
 */
import test from 'ava'
import { Buffer } from 'node:buffer'
import { setImmediate } from 'node:timers/promises'
import { digest } from '../../src/chunk/digest.ts'
import type { LocalChunkStore } from '../../src/store/local-chunk-store.ts'
import { openChunkReader, openChunkStore } from '../../src/store/open.ts'
import { Random } from '../random.ts'
import { env, temporaryStore } from './support.ts'

const stepsWanted = Number(process.env['HOLDFAST_GC_STEPS'] ?? 6000)
const rootsMax = 12
const contentsMax = 400

/** Chunks that a root names; the root of a fork is a copy of another's. */
type Root = number[]

class Run {
  readonly #random: Random
  readonly #store: LocalChunkStore
  readonly #contents: Buffer[] = []
  readonly #roots = new Set<Root>()
  readonly #committing = new Set<Promise<void>>()
  isOver = false
  steps = 0
  collections = 0
  moved = 0
  dropped = 0

  constructor(random: Random, store: LocalChunkStore) {
    this.#random = random
    this.#store = store
  }

  async write(): Promise<void> {
    while (this.steps < stepsWanted) {
      const running = this.#commit()
      this.#committing.add(running)
      await running
      this.#committing.delete(running)
      if (this.#random.below(3) === 0) this.#fork()
      while (this.#roots.size > rootsMax) this.#roots.delete(this.#random.pick([...this.#roots]))
      this.#readOne()
    }
  }

  async collect(): Promise<void> {
    while (!this.isOver) {
      using collection = this.#store.beginCollection()
      await Promise.all([...this.#committing])
      await this.#store.sync()
      for (const root of this.#roots) for (const at of root) collection.live.keep(digest(this.#contents[at]))
      const plan = await collection.plan({}, { unusedShareMax: this.#random.pick([0, 0.2]), openUnusedBytesMin: this.#random.pick([1, 20_000]) })
      await setImmediate()
      const done = await collection.execute(plan, {})
      this.collections += 1
      this.dropped += done.droppedPacks
      this.moved += done.rewrittenPacks
    }
  }

  ids(): Buffer[] {
    return [...new Set([...this.#roots].flat())].map((at) => this.#contents[at])
  }

  /** Puts some chunks, old ones and new ones, and then names them all in a root. */
  async #commit(): Promise<void> {
    const base = this.#random.pick([[], ...this.#roots])
    const root = base.filter(() => this.#random.below(4) > 0)
    for (let count = this.#random.below(12); count >= 0; count--) {
      root.push(this.#put())
      if (this.#random.below(8) === 0) await setImmediate()
    }
    await this.#store.sync()
    this.#roots.add(root)
  }

  #put(): number {
    this.steps += 1
    const isOld = this.#contents.length >= contentsMax || (this.#contents.length > 0 && this.#random.below(3) === 0)
    if (isOld) {
      const at = this.#random.below(this.#contents.length)
      this.#store.put(this.#contents[at], 'node')
      return at
    }
    const before = this.#contents.length === 0 ? null : this.#random.pick(this.#contents)
    const fresh = before === null || this.#random.below(3) === 0 ? this.#random.bytes(200 + this.#random.below(1000)) : this.#random.laterVersion(before, 2)
    // A base may be garbage by now: then it is none.
    this.#store.put(fresh, 'node', before === null ? undefined : digest(before))
    return this.#contents.push(fresh) - 1
  }

  #fork(): void {
    this.steps += 1
    if (this.#roots.size > 0) this.#roots.add([...this.#random.pick([...this.#roots])])
  }

  #readOne(): void {
    this.steps += 1
    const root = this.#random.pick([...this.#roots])
    for (const at of root) {
      if (!this.#store.has(digest(this.#contents[at]))) throw new Error(`chunk ${at} is needed and gone`)
    }
    const at = root.length === 0 ? -1 : this.#random.pick(root)
    if (at >= 0 && !this.#store.read(digest(this.#contents[at])).equals(this.#contents[at])) throw new Error(`chunk ${at} is another`)
  }
}

test('nothing that is named is collected, whatever is written meanwhile', async (t) => {
  t.timeout(3_600_000)
  const random = Random.announced(t)
  const directory = temporaryStore(t)
  {
    await using store = await openChunkStore(env, directory)
    const run = new Run(random, store)
    const collecting = run.collect()
    try {
      await run.write()
    } finally {
      run.isOver = true
      await collecting
    }
    await using reader = await openChunkReader(env, directory)
    for (const plain of run.ids()) t.true(reader.read(digest(plain)).equals(plain))
    t.like(await store.verify(), { damagedCount: 0 })
    t.log(`${run.steps} steps, ${run.collections} collections, ${run.dropped} packs dropped, ${run.moved} rewritten`)
    t.true(run.collections > 3 && run.moved > 3)
  }
})
