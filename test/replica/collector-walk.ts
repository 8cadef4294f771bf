/**
 * Writers, forks and collectors on one replica, all with the code that runs, and every call carried out when chance
 * says so; some die with a call under way, which comes late or never. Plans are hostile: any pack may go, any intent is
 * taken for a dead writer's. After each call nothing that is published may lack a pack.
 */
import { Buffer } from 'node:buffer'
import { codeOf } from '../../src/errors.ts'
import { encodeEpoch, epochIdentityOf, firstLocal } from '../../src/format/epoch.ts'
import { decodeEpochBatch, encodeEpochBatch } from '../../src/format/epoch-batch.ts'
import { CollectorRun } from '../../src/replica/collection/collector-run.ts'
import { batchName, generationDirectory, imageDirectory, parseBatchName } from '../../src/replica/layout.ts'
import { packOfMarker } from '../../src/replica/protocol/collection.ts'
import { Publisher } from '../../src/replica/publisher.ts'
import type { Random } from '../random.ts'
import { MemoryReplica, type Waiting } from './memory-replica.ts'

const writersMax = 4
const packsKept = 4
/** Who would publish waits then: else garbage piles up, and most calls are about nothing but that. */
const packsMax = 60
/** Others begin something meanwhile. */
const idleTurnsMax = 100
const setTurns = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })

export interface WalkCounts {
  steps: number
  published: number
  forks: number
  uploads: number
  replacedPacks: number
  removedRecords: number
  removedPacks: number
  deaths: number
  late: number
}

/** Of one image of one store. */
interface Writer {
  readonly name: string
  readonly key: string
  readonly imageId: Buffer
  publisher: Publisher
  isBusy: boolean
  next: number
  /** Packs that its next batch names: of its own, and those that it inherited. */
  packs: string[]
}

export class CollectorWalk {
  readonly replica = new MemoryReplica()
  readonly counts: WalkCounts = {
    steps: 0, published: 0, forks: 0, uploads: 0, replacedPacks: 0, removedRecords: 0, removedPacks: 0, deaths: 0, late: 0,
  }
  readonly #random: Random
  readonly #writers: Writer[] = []
  readonly #named = new Map<string, readonly string[]>()
  readonly #dead = new Set<string>()
  #idleTurns = 0
  readonly #sleeping = new Map<string, number>()
  #collectors: string[] = []
  #serial = 0
  fault: string | null = null

  constructor(random: Random) {
    this.#random = random
    for (const name of ['intents', 'condemned', 'deleting', 'sweeps', 'packs', 'epochs']) this.replica.makeDirectory(name)
    this.replica.onChange = (path, isThere) => this.#changed(path, isThere)
    for (let at = 0; at < 2; at++) this.#newWriter([])
  }

  /** Calls that are carried out until then. */
  async run(steps: number): Promise<void> {
    while (this.counts.steps < steps && this.fault === null) {
      this.#begin()
      await setTurns()
      const call = this.#next()
      if (call === null) continue
      this.counts.steps += 1
      const isDead = this.#dead.has(call.user)
      if (isDead) this.counts.late += 1
      // What a dead one asked for comes late, or never.
      if (isDead && this.#random.below(2) === 0) continue
      call.run(!isDead)
      if (this.#random.below(1_500) === 0) this.#die(call.user)
    }
  }

  /** Any call of somebody who is awake; now and then somebody sleeps while much goes on. */
  #next(): Waiting | null {
    const { replica: { waiting }, counts: { steps } } = this
    const awake = waiting.filter(({ user }) => (this.#sleeping.get(user) ?? 0) <= steps)
    this.#idleTurns = awake.length > 0 ? 0 : this.#idleTurns + 1
    if (this.#idleTurns > idleTurnsMax) this.#sleeping.clear()
    if (awake.length === 0) return null
    const call = this.#random.pick(awake)
    waiting.splice(waiting.indexOf(call), 1)
    if (this.#random.below(30) === 0) this.#sleeping.set(call.user, steps + this.#random.below(this.#random.pick([100, 1_000, 10_000])))
    return call
  }

  #begin(): void {
    const choice = this.#random.below(120)
    const isFull = this.replica.count('packs') >= packsMax
    if (choice < 9 && !isFull) this.#publish()
    else if (choice === 9) this.#fork()
    else if (choice < 14) this.#collect()
  }

  #newWriter(packs: string[]): Writer {
    this.#serial += 1
    const imageId = Buffer.alloc(16)
    imageId.writeUInt32LE(this.#serial)
    const key = imageId.toString('hex')
    const writer: Writer = { name: `w${this.#serial}`, key, imageId, publisher: null as unknown as Publisher, isBusy: false, next: 0, packs }
    writer.publisher = this.#publisherOf(writer)
    const directory = generationDirectory(key, 1)
    this.replica.makeDirectory(`${directory}/open`)
    this.#writers.push(writer)
    return writer
  }

  /** A process of its own: after a death another one. */
  #publisherOf(writer: Writer): Publisher {
    this.#serial += 1
    const user = `${writer.name}x${this.#serial}`
    const replica = this.replica.as(user)
    return new Publisher(replica, user, async (packs, attempt, call) => {
      const names: Record<string, string[]> = {}
      for (const pack of packs) {
        const again = `${pack.split('.')[0]}.${attempt}`
        await replica.makeDirectory(`packs/${again}`, call)
        await replica.put(`packs/${again}/whole`, Buffer.from(pack), call)
        names[pack] = [again]
        writer.packs = writer.packs.map((each) => (each === pack ? again : each))
        this.counts.replacedPacks += 1
      }
      return names
    })
  }

  #publish(): void {
    const writer = this.#random.pick(this.#writers)
    if (writer.isBusy) return
    writer.isBusy = true
    const { publisher } = writer
    this.#publishing(writer).then(() => { this.counts.published += 1 }, (error: unknown) => {
      if (codeOf(error) === null) this.fault = String(error)
    }).finally(() => { if (writer.publisher === publisher) writer.isBusy = false })
  }

  async #publishing(writer: Writer): Promise<void> {
    const user = `${writer.name}u${++this.#serial}`
    const replica = this.replica.as(user)
    const pack = this.#packName()
    await replica.makeDirectory(`packs/${pack}`)
    await replica.put(`packs/${pack}/whole`, Buffer.from(pack))
    this.counts.uploads += 1
    writer.packs = [...writer.packs.slice(-packsKept), pack]
    const number = writer.next
    const record = recordOf(writer.imageId, number)
    const name = batchName({ first: number, last: number, count: 1, revision: String(this.#serial) })
    const encode = (packs: readonly string[]): Buffer => {
      return encodeEpochBatch({ domainId: Buffer.alloc(16), keyId: 0, imageId: writer.imageId, packs, records: [record] })
    }
    await writer.publisher.publish(generationDirectory(writer.key, 1), [{ name, packs: [...writer.packs], encode, isSame: () => true }])
    writer.next = number + 1
  }

  /** A new image that builds on what some batch names, whatever becomes of that batch meanwhile. */
  #fork(): void {
    const batches = [...this.#named.values()]
    if (batches.length === 0) return
    const parent = this.#random.pick(batches)
    if (this.#writers.length >= writersMax) {
      const [left] = this.#writers.splice(this.#random.below(this.#writers.length), 1)
      this.#forgetUnused(left.key)
    }
    this.#newWriter([...parent])
    this.counts.forks += 1
  }

  #collect(): void {
    if (this.#collectors.length >= 2) return
    this.#serial += 1
    const self = `c${this.#serial}`
    this.#collectors.push(self)
    const records = [...this.#named.keys()].filter(() => this.#random.below(3) > 0)
    const packs = this.#namesIn('packs').filter(() => this.#random.below(3) > 0)
    const intents = this.#namesIn('intents').filter(() => this.#random.below(6) === 0)
    const replica = this.replica.as(self)
    const run = new CollectorRun({
      replica, self,
      removeRecord: async (path, call) => {
        await replica.remove(path, call)
        this.counts.removedRecords += 1
      },
    })
    run.run({ records, intents, packs }, { removed: () => { this.counts.removedPacks += 1 } }).catch((error: unknown) => {
      if (codeOf(error) === null) this.fault = String(error)
    }).finally(() => { this.#collectors = this.#collectors.filter((each) => each !== self) })
  }

  #die(user: string): void {
    if (this.#dead.has(user)) return
    this.#dead.add(user)
    this.counts.deaths += 1
    this.#collectors = this.#collectors.filter((each) => each !== user)
    const writer = this.#writers.find(({ name }) => user.startsWith(`${name}x`) || user.startsWith(`${name}u`))
    if (writer === undefined) return
    for (const each of this.replica.waiting) if (each.user.startsWith(`${writer.name}x`)) this.#dead.add(each.user)
    writer.publisher = this.#publisherOf(writer)
    writer.isBusy = false
    // It finds out from the replica what it published.
    writer.next += 1
  }

  #changed(path: string, isThere: boolean): void {
    const [place, key, , part, name] = path.split('/')
    if (place === 'epochs' && name !== undefined && parseBatchName(name) !== undefined) {
      if (!isThere) return this.#gone(path, key)
      const { packs } = decodeEpochBatch(this.replica.objects.get(path)!, path)
      this.#named.set(path, packs)
      for (const pack of packs) this.#require(pack, `${key} ${part} ${name} is published`)
    }
    if (place === 'deleting' && isThere) this.#unneeded(packOfMarker(key), 'is sentenced')
    if (place === 'packs' && !isThere) this.#unneeded(key, 'is removed')
  }

  #gone(path: string, key: string): void {
    this.#named.delete(path)
    this.#forgetUnused(key)
  }

  /** An image that nobody writes is not listed for ever. */
  #forgetUnused(key: string): void {
    const isUsed = this.#writers.some((writer) => writer.key === key) || [...this.#named.keys()].some((each) => each.includes(key))
    if (!isUsed) this.replica.removeEmpty(imageDirectory(key))
  }

  #require(pack: string, what: string): void {
    const isMarked = this.#namesIn('deleting').some((marker) => packOfMarker(marker) === pack)
    if (!isMarked && this.replica.objects.has(`packs/${pack}/whole`)) return
    this.fault ??= `${what}, and its pack ${pack} is gone`
  }

  #unneeded(pack: string, what: string): void {
    for (const [path, packs] of this.#named) if (packs.includes(pack)) this.fault ??= `pack ${pack} ${what}, and ${path} names it`
  }

  #namesIn(directory: string): string[] {
    return this.replica.names(directory)
  }

  #packName(): string {
    return this.#random.bytes(16).toString('hex')
  }
}

function recordOf(imageId: Buffer, number: number): Buffer {
  const none = Buffer.alloc(16)
  return Buffer.from(epochIdentityOf(encodeEpoch({
    ...firstLocal, kind: 'epoch', domainId: none, keyId: 0, imageId, number, nextNumber: number + 1, parent: null, manifest: Buffer.alloc(32),
    wallMs: 0, writtenBytes: 0, pauseUs: 0, machine: null, image: 'vm', note: '',
  })))
}
