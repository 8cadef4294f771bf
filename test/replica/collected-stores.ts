/**
 * Stores of one domain on one replica that write, fork, take over and collect at random, and what every epoch on the
 * replica must hold. Collectors and writers die at random calls.
 */
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import { openHost } from '../../src/daemon/local-host.ts'
import { systemEnv } from '../../src/env/system.ts'
import { codeOf } from '../../src/errors.ts'
import { stayingBy } from '../../src/image/collection/replica-retention.ts'
import type { Engine } from '../../src/image/engine.ts'
import type { GarbageRequest } from '../../src/image/collection/types.ts'
import type { ReplicaGarbage } from '../../src/replica/collection/replica-garbage.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { initStore, readIdentity } from '../../src/store/identity.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { Work } from '../image/work.ts'
import type { Random } from '../random.ts'
import { type DyingReplica, dyingReplicas } from './dying-replica.ts'
import { ReplicatedNode, epochsOn, imageKeys } from './node.ts'

const env = systemEnv()
const imagesMax = 3
const noiseBytes = 150_000

/** What all stores made: the digest of the file of an epoch, by the epoch's id. */
export type Expected = Map<string, string>

export class CollectedStore {
  readonly node: ReplicatedNode
  readonly works = new Map<string, Work>()
  readonly #t: ExecutionContext
  readonly #random: Random
  readonly #expected: Expected
  readonly #url: string
  readonly #dying: { current: DyingReplica | null }

  private constructor(t: ExecutionContext, node: ReplicatedNode, random: Random, expected: Expected, url: string) {
    this.#t = t
    this.node = node
    this.#random = random
    this.#expected = expected
    this.#url = url
    this.works.set(node.work.image, node.work)
    this.#dying = dyingReplicas(node)
  }

  static async start(
    t: ExecutionContext, { image, of, random, expected, url }: { image: string; of?: CollectedStore; random: Random; expected: Expected; url: string },
  ): Promise<CollectedStore> {
    const work = of === undefined ? await Work.start(t, [], image) : await workBeside(t, of, image)
    const node = await ReplicatedNode.start(t, [], work)
    const store = new CollectedStore(t, node, random, expected, url)
    node.add('r0', url)
    await store.restart()
    return store
  }

  get calls(): number {
    return this.#dying.current?.calls ?? 0
  }

  /** The process dies `calls` calls from now, after or before the last one is carried out. */
  dieIn(calls: number): void {
    const { current } = this.#dying
    if (current === null) return
    current.isAfter = this.#random.below(2) === 0
    current.diesAt = current.calls + calls
  }

  get isDead(): boolean {
    return this.#dying.current?.isDead ?? false
  }

  /** Another process from now on. */
  async restart(): Promise<void> {
    await this.node.restart(this.#t)
  }

  /** Something new, something that was there before, in one of its images. */
  async seal(): Promise<void> {
    const work = this.#random.pick([...this.works.values()])
    const noise = this.#random.below(2) === 0 ? this.#random.bytes(noiseBytes) : Buffer.alloc(noiseBytes, this.#random.below(4))
    work.truncate('file', 0)
    work.write('file', noise)
    if (this.#random.below(3) === 0) work.write(`more${this.#random.below(3)}`, this.#random.bytes(70_000))
    const { epoch } = await work.commit('epoch')
    this.#expected.set(epoch!.id, digestOf(noise))
    this.node.replicator.poke()
  }

  /** True when it is up to the store. */
  async sync(): Promise<boolean> {
    try {
      await this.node.replicator.sync('r0', {})
      return true
    } catch (error) {
      if (codeOf(error) === null || !this.isDead) throw error
      return false
    }
  }

  async collect(rules: GarbageRequest): Promise<ReplicaGarbage> {
    // A head that is open reads by older manifests, too.
    for (const work of this.works.values()) await work.close()
    const { isComplete, completeEpochs, ownPacks } = await this.node.work.engine.collectGarbage({ maxUnused: 0, ...rules })
    await this.#openAll(this.node.work.engine)
    const known = { isComplete, completeEpochs: new Set(completeEpochs), ownPacks: new Set(ownPacks) }
    const [report] = await this.node.replicator.collect({ decide: stayingBy(rules), ...known, dryRun: null }, {})
    return report
  }

  /** Becomes an image of this store: a fork, or taken over from its owner. False where there is none to be had. */
  async restore(replica: Replica, how: 'fork' | 'takeover'): Promise<boolean> {
    const key = this.#random.pick(await imageKeys(replica))
    const epochs = await epochsOn(replica, key)
    if (this.works.size >= imagesMax || epochs.length === 0) return false
    const name = `fork${this.#random.below(1e9)}`
    const target = `${key}@${this.#random.pick(epochs).number}`
    return this.#away(async () => {
      await using host = await openHost(this.node.work.store, { thread: true })
      try {
        const as = how === 'fork' ? name : undefined
        const { epoch } = await host.restore({ url: this.#url, target, as, full: true, takeover: true })
        this.works.set(epoch.image, new Work(this.node.work.rig, epoch.image))
        return true
      } catch (error) {
        // It has an image of that name.
        if (codeOf(error) === 'EXISTS') return false
        throw error
      }
    })
  }

  /** An image that another store took over has another name once its head was closed. */
  async #openAll(engine: Engine): Promise<void> {
    const names = new Set((await engine.images()).map(({ image }) => image))
    for (const name of this.works.keys()) if (!names.has(name)) this.works.delete(name)
    for (const name of names) if (!this.works.has(name)) this.works.set(name, new Work(this.node.work.rig, name))
    for (const work of this.works.values()) {
      work.engine = engine
      await work.open()
    }
  }

  /** The store has no user meanwhile. */
  async #away<T>(run: () => Promise<T>): Promise<T> {
    await this.node.replicator.close()
    for (const work of this.works.values()) await work.close()
    await this.node.work.engine.close()
    try {
      return await run()
    } finally {
      const engine = await openLocalEngine(this.node.work.store)
      this.#t.teardown(() => engine.close().catch(() => undefined))
      await this.#openAll(engine)
      this.node.work.engine = engine
      await this.restart()
    }
  }
}

async function workBeside(t: ExecutionContext, { node: { work: { rig, store } } }: CollectedStore, image: string): Promise<Work> {
  const { domainId } = readIdentity(env, new StoreLayout(store))
  const parent = fs.mkdtempSync(join(rig.parent, 'other-'))
  const directory = join(parent, 'store')
  initStore(env, directory, { domain: { domainId, keys: null } })
  return Work.start(t, [], image, { ...rig, parent, directory, engine: await openLocalEngine(directory) })
}

/** Every epoch that is there comes to an empty node with the bytes that it was sealed with. Returns how many. */
export async function allRestore(t: ExecutionContext, replica: Replica, url: string, parent: string, expected: Expected): Promise<number> {
  const directory = fs.mkdtempSync(join(parent, 'empty-'))
  initStore(env, directory)
  let count = 0
  {
    await using host = await openHost(directory, { thread: true })
    for (const key of await imageKeys(replica)) {
      for (const { number, id } of await epochsOn(replica, key)) {
        const digest = expected.get(id.toString('hex'))
        if (digest === undefined) continue
        const as = `x${count}`
        await host.restore({ url, target: `${key}@${number}`, as, full: true, takeover: false })
        const file = join(directory, 'exported')
        await host.engine.exportFile({ epoch: `${as}@0`, path: '/file', file, format: 'raw' })
        t.is(digestOf(fs.readFileSync(file)), digest, `${key}@${number}`)
        fs.rmSync(file)
        count += 1
      }
    }
    t.deepEqual((await host.engine.check({ readData: true })).damaged, [])
  }
  fs.rmSync(directory, { recursive: true })
  return count
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
