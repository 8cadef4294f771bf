/**
 * An image with its head, a model beside it, and all that may happen to both: commits that are late, heads
 * that are closed, crashes. A crash is a copy of the store's directory, made while it is in use, whose log
 * is then cut behind what was synced.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isCode } from '../../src/errors.ts'
import { systemEnv } from '../../src/env/system.ts'
import { ImageLayout, parseSegmentName } from '../../src/image/layout.ts'
import { LogFollower } from '../../src/image/log-follower.ts'
import type { Lane } from '../../src/format/log.ts'
import type { Engine } from '../../src/image/engine.ts'
import type { GarbageReport, GarbageRequest } from '../../src/image/collection/types.ts'
import type { CommitResult } from '../../src/image/types.ts'
import type { Random } from '../random.ts'
import { differences, isMaking, perform, touchedBy } from './head-driver.ts'
import { Model } from './model.ts'
import type { Operation } from './model.ts'
import { randomOperation } from './random-operations.ts'
import { openHead } from './rig.ts'
import type { HeadRig } from './rig.ts'
import { openLocalEngine } from './variant.ts'

interface Logged {
  operation: Operation
  lane: Lane
  segment: number
  /** Length of the lane's file after it; the operation survives when the file is cut there or later. */
  end: number
}

export class Session {
  readonly #random: Random
  readonly #parent: string
  #count = 0
  #directory: string
  #engine: Engine
  #head!: HeadRig
  image: string
  model = new Model()
  /** States of the sealed epochs, by address. */
  readonly epochs = new Map<string, Model>()
  /** The state that the newest record holds, and all that was logged since. */
  #committed = new Model()
  #logged: Logged[] = []
  /** The state when a segment ended, until it is committed. */
  readonly #rotated = new Map<number, Model>()
  #retirable: CommitResult[] = []
  /** Bytes of each file of the disk lane that a sync covered. */
  readonly #synced = new Map<number, number>()
  #connection = 0
  /** Reads the log ahead, from time to time. */
  #follower: LogFollower | null = null

  private constructor(random: Random, parent: string, directory: string, engine: Engine, image: string) {
    this.#random = random
    this.#parent = parent
    this.#directory = directory
    this.#engine = engine
    this.image = image
  }

  static async start(random: Random, parent: string, directory: string, engine: Engine, image: string): Promise<Session> {
    await engine.createImage({ image, base: [] })
    const session = new Session(random, parent, directory, engine, image)
    await session.#open()
    const [times] = touchedBy(session.#head.head, [1])
    session.model.addRoot(times)
    session.#committed = session.model.clone()
    session.epochs.set(`${image}@0`, session.model.clone())
    return session
  }

  get engine(): Engine {
    return this.#engine
  }

  get directory(): string {
    return this.#directory
  }

  step(): void {
    const { head, failures } = this.#head
    const operation = randomOperation(this.#random, this.model)
    const before = { segment: head.log.segment, disk: head.log.laneBytes('disk'), memory: head.log.laneBytes('memory') }
    const touched = this.#named(operation)
    const result = perform(head, operation)
    const isLogged = head.log.laneBytes('disk') > before.disk || head.log.laneBytes('memory') > before.memory
    if (isLogged) operation.touched = touchedBy(head, isMaking(operation) ? [...touched, operation.inode] : touched)
    const wanted = this.model.apply(operation)
    if (result !== wanted) throw new Error(`${JSON.stringify(operation, short)} gave ${result}, not ${wanted}`)
    if (failures.length > 0) throw failures[0]
    const lane = head.log.laneBytes('memory') > before.memory ? 'memory' : 'disk'
    if (result === 0) this.#logged.push({ operation, lane, segment: before.segment, end: head.log.laneBytes(lane) })
  }

  /** Numbers of the inodes whose attributes the operation's record carries. */
  #named(operation: Operation): number[] {
    const named = 'inode' in operation && !isMaking(operation) ? [operation.inode] : []
    if ('parent' in operation) named.push(operation.parent, ...this.#entry(operation.parent, operation.name))
    if ('newParent' in operation) named.push(operation.newParent, ...this.#entry(operation.newParent, operation.newName))
    return named
  }

  #entry(parent: number, name: string): number[] {
    const inode = this.model.node(parent).names.get(name)
    return inode === undefined ? [] : [inode]
  }

  rotate(): void {
    this.#rotated.set(this.#head.head.rotate(), this.model.clone())
  }

  sync(): void {
    for (const { segment, file } of this.#segmentFiles(this.#directory)) {
      if (file.endsWith('.disk')) this.#synced.set(segment, fs.statSync(file).size)
    }
  }

  /** Commits some of the ended segments while more is written. */
  async commit(kind: 'head' | 'epoch'): Promise<void> {
    if (this.#rotated.size === 0) this.rotate()
    const segment = this.#random.pick([...this.#rotated.keys()])
    let isDone = false
    const running = this.#engine.commit({ image: this.image, segment, kind }).finally(() => (isDone = true))
    running.catch(() => undefined)
    for (let steps = 0; !isDone && steps < 20; steps += 1) {
      this.step()
      await setImmediate()
    }
    const result = await running
    this.#retirable.push(result)
    this.#committed = this.#rotated.get(segment)!
    for (const ended of [...this.#rotated.keys()]) if (ended <= segment) this.#rotated.delete(ended)
    this.#logged = this.#logged.filter((each) => each.segment > segment)
    if (result.epoch === undefined) return
    const sealed = this.#committed.clone()
    sealed.dropReferences()
    this.epochs.set(`${this.image}@${result.epoch.number}`, sealed)
  }

  retire(): void {
    const result = this.#retirable.shift()
    if (result === undefined) return
    this.#head.head.retire(result.segment, Buffer.from(result.manifest, 'hex'))
    void this.#engine.retired({ image: this.image, segment: result.segment })
  }

  /** Collects garbage while more is written and committed. */
  async collect(): Promise<GarbageReport> {
    const rules = this.#random.pick<GarbageRequest>([
      {}, { keepLast: 1 + this.#random.below(4) }, { keepWithinMs: this.#random.below(500) }, { thin: [{ everyMs: 100, ageMs: 1000 }] },
    ])
    let isDone = false
    const running = this.#engine.collectGarbage({ ...rules, maxUnused: this.#random.pick([0, 0.1, undefined]) }).finally(() => (isDone = true))
    running.catch(() => undefined)
    while (!isDone) {
      this.step()
      if (this.#random.below(20) === 0) await this.commit(this.#random.pick(['head', 'epoch']))
      if (this.#random.below(10) === 0) this.retire()
      if (this.#random.below(50) === 0) await this.removeEpoch()
      await setImmediate()
    }
    const report = await running
    for (const { epoch } of report.removedEpochs) this.epochs.delete(epoch)
    return report
  }

  compare(): string[] {
    return differences(this.#head.head, this.model)
  }

  /** As an unmount and a mount; `restart`: the engine goes too. */
  async reopen(restart: boolean): Promise<void> {
    await this.#close()
    if (restart) {
      await this.#engine.close()
      this.#engine = await openLocalEngine(this.#directory)
    }
    this.model.dropReferences()
    await this.#open()
  }

  /** Another server goes on with the same mount: the log stays, and what the kernel refers to is not known. */
  async takeOver(restart: boolean): Promise<void> {
    await this.#close()
    if (restart) {
      await this.#engine.close()
      this.#engine = await openLocalEngine(this.#directory)
    }
    const start = await this.#engine.openHead({ image: this.image, takeover: true })
    using follower = this.#follower
    this.#follower = null
    this.#head = await openHead(start, undefined, undefined, this.#connection, follower ?? undefined)
    this.#retirable = []
    this.#rotated.set(start.segment - 1, this.model.clone())
    // So many references that forgets never use them up: nobody knows how many there are.
    for (const inode of this.model.nodes.keys()) {
      const operation: Operation = { do: 'reference', inode, count: 1e9 }
      this.model.apply(operation)
      this.#logged.push({ operation, lane: 'disk', segment: start.segment, end: 0 })
    }
  }

  /** Some of the log is read by who will perhaps take over. */
  follow(): void {
    const { log: { keys } } = this.#head.head
    this.#follower ??= new LogFollower(systemEnv(), new ImageLayout(this.#directory, this.image), keys)
    this.#follower.catchUp(1 + this.#random.below(40))
  }

  async crash(): Promise<void> {
    this.#stopFollowing()
    this.#count += 1
    const copy = join(this.#parent, `crashed-${this.#count}`)
    fs.cpSync(this.#directory, copy, { recursive: true })
    const cuts = this.#cutLog(copy)
    await this.#close()
    await this.#engine.close()
    fs.rmSync(this.#directory, { recursive: true })
    this.#directory = copy
    this.model = this.#survivors(cuts)
    this.#engine = await openLocalEngine(copy)
    await this.#open()
  }

  async rollback(discard: boolean): Promise<void> {
    const own = [...this.epochs.keys()].filter((address) => address.startsWith(`${this.image}@`))
    if (own.length === 0) return
    const epoch = this.#random.pick(own)
    await this.#close()
    this.model.dropReferences()
    const { sealed } = await this.#engine.rollback({ epoch, discard })
    if (discard && sealed !== null) throw new Error('a discarding rollback sealed')
    if (sealed !== null) this.epochs.set(`${this.image}@${sealed.number}`, this.model)
    this.model = this.epochs.get(epoch)!.clone()
    await this.#open()
  }

  /** Goes on in a fork of any epoch. */
  async fork(image: string): Promise<void> {
    if (this.epochs.size === 0) return
    const epoch = this.#random.pick([...this.epochs.keys()])
    this.#stopFollowing()
    await this.#close()
    await this.#engine.fork({ epoch, image })
    this.image = image
    this.model = this.epochs.get(epoch)!.clone()
    this.epochs.set(`${image}@0`, this.model.clone())
    await this.#open()
  }

  async removeEpoch(): Promise<void> {
    const own = [...this.epochs.keys()].filter((address) => address.startsWith(`${this.image}@`))
    if (own.length < 2) return
    const target = this.#random.pick(own)
    try {
      await this.#engine.remove({ target })
    } catch (error) {
      // A collection may have taken it meanwhile.
      if (!isCode(error, 'NOT_FOUND')) throw error
    }
    this.epochs.delete(target)
  }

  /** The state of an epoch, read through a head over its manifest. */
  async compareEpoch(address: string): Promise<string[]> {
    const { root } = await this.#engine.show({ epoch: address })
    const start = { ...this.#head.start, manifest: root, directory: this.#directory, takeover: null }
    const rig = await openHead(start)
    try {
      return differences(rig.head, this.epochs.get(address)!)
    } finally {
      await rig.close()
    }
  }

  async close(): Promise<void> {
    this.#stopFollowing()
    await this.#close()
    await this.#engine.close()
  }

  async #open(): Promise<void> {
    this.#connection += 1
    const start = await this.#engine.openHead({ image: this.image })
    this.#head = await openHead(start, undefined, undefined, this.#connection)
    this.#committed = this.model.clone()
    this.#logged = []
    this.#rotated.clear()
    this.#synced.clear()
    this.#retirable = []
  }

  #stopFollowing(): void {
    this.#follower?.close()
    this.#follower = null
  }

  async #close(): Promise<void> {
    await this.#head.close()
    await this.#engine.closeHead({ image: this.image })
  }

  /** Cuts each file behind what was synced, or removes it whole; where each ends now. */
  #cutLog(directory: string): Map<string, number> {
    const ends = new Map<string, number>()
    const files = this.#segmentFiles(directory)
    for (const { file, segment, lane } of files) {
      const length = fs.statSync(file).size
      const synced = lane === 'disk' ? this.#synced.get(segment) ?? 0 : 0
      const end = this.#random.below(3) === 0 ? length : synced + this.#random.below(length - synced + 1)
      ends.set(`${lane}/${segment}`, end)
      // Names appear in their order, so only a lane's last file can be without one.
      const isLast = !files.some((other) => other.lane === lane && other.segment > segment)
      if (end === 0 && isLast && this.#random.below(2) === 0) fs.unlinkSync(file)
      else fs.truncateSync(file, end)
    }
    return ends
  }

  /** What must be there after the cuts: of each lane all up to its first loss, in the order of both. */
  #survivors(ends: Map<string, number>): Model {
    const model = this.#committed.clone()
    const lost = new Set<Lane>()
    for (const { operation, lane, segment, end } of this.#logged) {
      if (end > (ends.get(`${lane}/${segment}`) ?? 0)) lost.add(lane)
      if (lost.has(lane)) continue
      // Writes to a memory file can survive what made it; what leaves no record can be about it, too.
      const mayLack = operation.do === 'write' || operation.do === 'reference' || operation.do === 'forget'
      if (!mayLack || model.nodes.has(operation.inode)) model.apply(operation)
    }
    model.dropReferences()
    return model
  }

  #segmentFiles(directory: string): { file: string; segment: number; lane: Lane }[] {
    const log = join(directory, 'images', this.image, 'log')
    return fs.readdirSync(log).flatMap((name) => {
      const parsed = parseSegmentName(name)
      return parsed === null ? [] : [{ file: join(log, name), ...parsed }]
    })
  }
}

function short(_: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? `${value.length} bytes` : value
}
