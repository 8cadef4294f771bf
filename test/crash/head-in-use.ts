/** A head as a mount holds it, its model beside it, and the syncs of its log as the mount makes them. */
import { Buffer } from 'node:buffer'
import type { Env } from '../../src/env/env.ts'
import type { Lane } from '../../src/format/log.ts'
import { ImageLayout } from '../../src/image/layout.ts'
import { SyncMark } from '../../src/image/sync-mark.ts'
import type { CommitResult, HeadStart } from '../../src/image/types.ts'
import { LaneSync } from '../../src/mount/lane-sync.ts'
import { differences, isMaking, perform, touchedBy } from '../image/head-driver.ts'
import { Model, modelRoot } from '../image/model.ts'
import type { Operation } from '../image/model.ts'
import { randomOperation } from '../image/random-operations.ts'
import { openHead } from '../image/rig.ts'
import type { HeadRig } from '../image/rig.ts'
import type { Random } from '../random.ts'
import type { ImageHistory } from './history.ts'
import { recordedFile } from './recording-env.ts'

export interface HeadUseOptions {
  env: Env
  random: Random
  history: ImageHistory
  /** Operations recorded so far. */
  at: () => number
}

export class HeadInUse {
  readonly history: ImageHistory
  readonly model: Model
  readonly #options: HeadUseOptions
  readonly #rig: HeadRig
  readonly #sync: LaneSync
  readonly #tickets = new Map<number, () => void>()
  /** The state when a segment ended, until it is committed. */
  readonly #rotated = new Map<number, Model>()
  #retirable: CommitResult[] = []
  #lastTicket = 0

  private constructor(options: HeadUseOptions, rig: HeadRig, model: Model, syncMark: SyncMark) {
    this.#options = options
    this.#rig = rig
    this.model = model
    this.history = options.history
    const { start } = rig
    const answer = ({ unique }: { unique: number }): boolean => {
      this.#tickets.get(unique)?.()
      return this.#tickets.delete(unique)
    }
    const failed = (): never => { throw new Error('a sync failed') }
    this.#sync = new LaneSync({
      layout: new ImageLayout(start.directory, start.image), replies: { done: answer, failed }, onFailure: failed, syncMark,
      firstSegment: start.takeover?.segments[0] ?? start.segment, open: async (path) => recordedFile(options.env, path),
    })
  }

  /** The model is what the image holds; without one it is a new image. */
  static async open(options: HeadUseOptions, start: HeadStart, model: Model | null): Promise<HeadInUse> {
    const syncMark = new SyncMark()
    const rig = await openHead(start, options.env, syncMark)
    const use = new HeadInUse(options, rig, model ?? new Model().addRoot(touchedBy(rig.head, [modelRoot])[0]), syncMark)
    if (start.takeover !== null) use.#inherit()
    return use
  }

  step(): void {
    this.do(randomOperation(this.#options.random, this.model))
  }

  do(operation: Operation): void {
    const { head, failures } = this.#rig
    const before = { segment: head.log.segment, disk: head.log.laneBytes('disk'), memory: head.log.laneBytes('memory') }
    const named = this.#named(operation)
    const result = perform(head, operation)
    const lane = head.log.laneBytes('memory') > before.memory ? 'memory' : 'disk'
    const isLogged = lane === 'memory' || head.log.laneBytes('disk') > before.disk
    if (isLogged) operation.touched = touchedBy(head, isMaking(operation) ? [...named, operation.inode] : named)
    const wanted = this.model.apply(operation)
    if (result !== wanted) throw new Error(`${operation.do} gave ${result}, not ${wanted}`)
    if (failures.length > 0) throw failures[0]
    if (result === 0) this.#log(operation, lane, before.segment, head.log.laneBytes(lane))
  }

  /** As the mount does it: acknowledged when the ticket is answered. */
  async fsync(): Promise<void> {
    const count = this.history.logged.length
    this.#lastTicket += 1
    const unique = this.#lastTicket
    const answered = new Promise<void>((resolve) => this.#tickets.set(unique, resolve))
    const { log } = this.#rig.head
    this.#sync.request({ unique, opcode: 0, resent: false }, log.segment, log.lastSequence('disk'))
    await answered
    this.history.syncs.push({ count, end: this.#options.at() })
  }

  writeBehind(): Promise<void> {
    return this.#sync.writeBehind(this.#rig.head.log.segment)
  }

  rotate(): void {
    this.#rotated.set(this.#rig.head.rotate(), this.model.clone())
  }

  /** A segment to commit up to, and the state at its end. */
  ended(): { segment: number; model: Model } {
    if (this.#rotated.size === 0) this.rotate()
    const segment = this.#options.random.pick([...this.#rotated.keys()])
    return { segment, model: this.#rotated.get(segment)! }
  }

  committed(result: CommitResult): void {
    this.#retirable.push(result)
    for (const segment of [...this.#rotated.keys()]) if (segment <= result.segment) this.#rotated.delete(segment)
  }

  async retire(): Promise<void> {
    const result = this.#retirable.shift()
    if (result === undefined) return
    this.#rig.head.retire(result.segment, Buffer.from(result.manifest, 'hex'))
    await this.#sync.retire(result.segment)
  }

  /** Where head and model disagree, in words. */
  differences(): string[] {
    return differences(this.#rig.head, this.model)
  }

  async close(): Promise<void> {
    await this.#sync.close()
    await this.#rig.close()
  }

  /** What the server before knew of the kernel's references is lost: so many that forgets never use them up. */
  #inherit(): void {
    const { segment } = this.#rig.start
    this.#rotated.set(segment - 1, this.model.clone())
    for (const inode of this.model.nodes.keys()) {
      const operation: Operation = { do: 'reference', inode, count: 1e9 }
      this.model.apply(operation)
      this.#log(operation, 'disk', segment, 0)
    }
  }

  #log(operation: Operation, lane: Lane, segment: number, bytesEnd: number): void {
    this.history.logged.push({ operation, lane, segment, bytesEnd, at: this.#options.at() })
  }

  /** Numbers of the inodes whose attributes the operation's record carries. */
  #named(operation: Operation): number[] {
    const named = 'inode' in operation && !isMaking(operation) ? [operation.inode] : []
    const entry = (parent: number, name: string): number[] => {
      const inode = this.model.node(parent).names.get(name)
      return inode === undefined ? [parent] : [parent, inode]
    }
    if ('parent' in operation) named.push(...entry(operation.parent, operation.name))
    if ('newParent' in operation) named.push(...entry(operation.newParent, operation.newName))
    return named
  }
}
