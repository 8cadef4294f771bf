/**
 * A mount over a base does what a model in memory does, through system calls: crashes of its server, seals, forks,
 * rollbacks and new mounts between them. A seed repeats a run: HOLDFAST_SEED.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { cleanStaleMount } from '../../src/mount/stale.ts'
import { Random } from '../random.ts'
import { ServedStore } from './served.ts'
import type { ServedMount } from './served.ts'
import { differences, readDirect, TreeModel } from './tree-model.ts'
import { TreeWalker } from './tree-operations.ts'
import { describeTree } from './tree.ts'

/** Small segments: rotations, commits and retirements go on all the time. */
const limits = { segmentBytesMax: 2 ** 20, laneSyncBytes: 2 ** 18 }
const turns = 30
const baseSteps = 120

class Life {
  readonly #t: ExecutionContext
  readonly #random: Random
  readonly walker: TreeWalker
  /** What each sealed epoch held, by `image@number`. */
  readonly #epochs = new Map<string, TreeModel>()
  #store: ServedStore
  #mounted: ServedMount
  #image = 'origin'
  #forks = 0

  constructor(t: ExecutionContext, random: Random, store: ServedStore, mounted: ServedMount, model: TreeModel) {
    this.#t = t
    this.#random = random
    this.#store = store
    this.#mounted = mounted
    this.walker = new TreeWalker(model, mounted.directory, random)
    this.#epochs.set('origin@0', model.clone())
  }

  get store(): ServedStore {
    return this.#store
  }

  check(when: string): void {
    const { model, directory, faults } = this.walker
    const read = this.#random.below(2) === 0 ? readDirect : undefined
    this.#t.deepEqual([...faults, ...differences(model, directory, read)], [], when)
  }

  async turn(): Promise<string> {
    const turn = this.#random.pick(['seal', 'seal', 'seal', 'remount', 'crash', 'crash', 'fork', 'rollback', 'none', 'none'])
    if (turn === 'seal') await this.#seal()
    if (turn === 'remount') await this.#remount()
    if (turn === 'crash') await this.#crash()
    if (turn === 'fork') await this.#fork()
    if (turn === 'rollback') await this.#rollback()
    return turn
  }

  /** Every epoch, through a mount of a fork of it. */
  async checkEpochs(): Promise<void> {
    await this.#leave()
    for (const [epoch, model] of this.#epochs) {
      await this.#enter(await this.#forked(epoch), model.clone())
      this.check(epoch)
      await this.#leave()
    }
  }

  async #seal(): Promise<void> {
    const { epoch } = await this.#mounted.seal()
    this.#epochs.set(`${this.#image}@${epoch!.number}`, this.walker.model.clone())
  }

  async #leave(): Promise<void> {
    this.walker.closeAll()
    await this.#mounted.unmount()
  }

  async #enter(image: string, model: TreeModel): Promise<void> {
    this.#image = image
    this.walker.model = model
    this.#mounted = await this.#store.mount(image, { limits })
    this.walker.directory = this.#mounted.directory
  }

  async #remount(): Promise<void> {
    await this.#leave()
    await this.#enter(this.#image, this.walker.model)
  }

  /** Only its server dies, so all that was answered is there. */
  async #crash(): Promise<void> {
    await this.#store.kill()
    this.walker.closeAll()
    await cleanStaleMount(this.#mounted.directory)
    this.#store = await ServedStore.start(this.#t, { directory: this.#store.directory })
    await this.#enter(this.#image, this.walker.model)
  }

  async #fork(): Promise<void> {
    const epoch = this.#random.pick([...this.#epochs.keys()])
    await this.#leave()
    await this.#enter(await this.#forked(epoch), this.#epochs.get(epoch)!.clone())
  }

  async #rollback(): Promise<void> {
    const epoch = this.#random.pick([...this.#epochs.keys()].filter((name) => name.startsWith(`${this.#image}@`)))
    if (epoch === undefined) return
    await this.#leave()
    await this.#store.call('rollback', { epoch, discard: true })
    await this.#enter(this.#image, this.#epochs.get(epoch)!.clone())
  }

  async #forked(epoch: string): Promise<string> {
    const image = `fork-${this.#forks += 1}`
    await this.#store.fork(epoch, image)
    return image
  }
}

for (const round of [1, 2]) {
  test.serial(`a mount over a base does what the model does, round ${round}`, async (t) => {
    const random = Random.announced(t)
    const store = await ServedStore.start(t)
    const base = join(store.directory, '..', 'base')
    mkdirSync(base)
    const model = new TreeModel()
    const builder = new TreeWalker(model, base, random)
    for (let step = 0; step < baseSteps; step += 1) builder.step()
    builder.closeAll()
    t.deepEqual([...builder.faults, ...differences(model, base)], [], 'the model is as the system is')
    const before = await describeTree(base)
    await store.call('createImage', { image: 'origin', base: [base] })
    const mounted = await store.mount('origin', { limits })
    const life = new Life(t, random, store, mounted, model)
    life.check('the base, mounted')
    for (let turn = 0; turn < turns; turn += 1) {
      for (let steps = random.below(20); steps > 0; steps -= 1) life.walker.step()
      const name = await life.turn()
      if (turn % 3 === 0 || name !== 'none') life.check(`turn ${turn}, ${name}`)
    }
    await life.checkEpochs()
    t.deepEqual(((await life.store.call('check', { readData: true })) as { damaged: unknown[] }).damaged, [])
    t.deepEqual(await describeTree(base), before, 'the base is as it was')
  })
}
