/**
 * A store in use, everything in one thread: an engine, a head, and each verb with the record of when it was
 * begun and done. While the engine works the head goes on being written.
 */
import { join } from 'node:path'
import type { StoredEpoch } from '../../src/format/epoch.ts'
import type { GarbageReport, GarbageRequest } from '../../src/image/collection/types.ts'
import type { Engine } from '../../src/image/engine.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import type { CheckReport } from '../../src/image/types.ts'
import type { Model, Operation } from '../image/model.ts'
import { initStore, openLocalEngine } from '../image/variant.ts'
import type { Random } from '../random.ts'
import { domainKeys } from '../store/variant.ts'
import { HeadInUse } from './head-in-use.ts'
import { ImageHistory } from './history.ts'
import type { Span } from './history.ts'
import type { IndexCopies } from './index-variants.ts'
import type { RecordedOperation, RecordingEnv } from './recording-env.ts'
import type { Tree } from './tree.ts'

/** A few records fill it: packs are closed and begun all the time. */
export const packBytesMax = 512 * 1024

/** What a record that a verb publishes holds; null: its image is checked and not compared. */
type Publishing = (record: StoredEpoch) => Model | null

export class Workload {
  readonly recording: RecordingEnv
  readonly directory: string
  readonly images = new Map<string, ImageHistory>()
  readonly indexes: IndexCopies
  /** What is done to the head now and then while the engine works. */
  meanwhile = (): void => this.#head.step()
  /** When the store was there. */
  madeAt = Infinity
  readonly #random: Random
  /** What garbage a collection after the crash takes away; null: none is run. */
  collects: GarbageRequest | null = null
  /** When bytes of the store were spoilt: whoever opens it later repairs it first. */
  spoiltAt = Infinity
  /** Files, outside the recording, where a repair finds what is lost. */
  repairFrom: string[] = []
  /** Of what lies beside the store: more that a crash must leave sound. */
  alsoExamine: (tree: Tree, at: number) => Promise<string[]> = async () => []
  #engine!: Engine
  #head!: HeadInUse
  #forks = 0
  #publishing: Publishing = () => null
  #span: Span = { begin: 0, end: 0 }

  /** The store lies in `store` of the recording's root. */
  constructor(random: Random, recording: RecordingEnv, root: string, indexes: IndexCopies) {
    this.#random = random
    this.recording = recording
    this.directory = join(root, 'store')
    this.indexes = indexes
    recording.watch = (operation) => this.#noteRecord(operation)
  }

  get engine(): Engine {
    return this.#engine
  }

  async start(): Promise<void> {
    initStore(this.recording.env, this.directory)
    this.madeAt = this.#at
    await this.#openEngine()
    await this.create('vm')
    await this.#open('vm', null)
    const { model, history } = this.#head
    history.commits[0].model = model.clone()
    history.epochs.get(0)!.model = model.clone()
  }

  /** Random changes of the head. */
  steps(count: number): void {
    for (let step = 0; step < count; step += 1) this.#head.step()
  }

  /** One change of the head. */
  do<T extends Operation>(operation: T): T {
    this.#head.do(operation)
    return operation
  }

  /** Whether the head has such a file, with or without a name. */
  hasFile(inode: number): boolean {
    return this.#head.model.nodes.get(inode)?.kind === 'file'
  }

  fsync(): Promise<void> {
    return this.#head.fsync()
  }

  writeBehind(): Promise<void> {
    return this.#head.writeBehind()
  }

  rotate(): void {
    this.#head.rotate()
  }

  retire(): Promise<void> {
    return this.#head.retire()
  }

  async commit(kind: 'head' | 'epoch'): Promise<void> {
    const { segment, model } = this.#head.ended()
    const { image } = this.#head.history
    this.#head.committed(await this.#verb(() => model, () => this.#engine.commit({ image, segment, kind }), true))
  }

  /** An unmount and a mount; `restart`: the engine goes too. */
  async reopen(restart: boolean): Promise<void> {
    const { history, model } = this.#head
    await this.#close()
    if (restart) await this.#restart()
    await this.#open(history.image, model)
  }

  /** The serving process was killed and another goes on with its mount. */
  async takeOver(): Promise<void> {
    const { history, model } = this.#head
    await this.#close()
    await this.#restart()
    const start = await this.#engine.openHead({ image: history.image, takeover: true })
    this.#head = await HeadInUse.open(this.#use(history), start, model)
  }

  async create(image: string): Promise<void> {
    const history = new ImageHistory(image, this.#at)
    this.images.set(image, history)
    await this.#verb(() => null, () => this.#engine.createImage({ image, base: [] }))
    history.made.end = this.#at
  }

  async rollback(discard: boolean): Promise<void> {
    const { history, model: left } = this.#head
    const number = this.#anyEpoch()
    const epoch = history.epochs.get(number)!
    await this.#close()
    left.dropReferences()
    const address = `${history.image}@${number}`
    const isTarget = (record: StoredEpoch): boolean => record.kind === 'head' && record.number === number
    const { sealed } = await this.#verb((record) => (isTarget(record) ? epoch.model : left),
      () => this.#engine.rollback({ epoch: address, discard }))
    if (discard && sealed !== null) throw new Error('a discarding rollback sealed')
    await this.#open(history.image, epoch.model!.clone())
  }

  /** Makes a fork of an epoch and goes on in it. */
  async fork(): Promise<void> {
    this.#forks += 1
    const image = `fork-${this.#forks}`
    const number = this.#anyEpoch()
    const source = this.#head.history
    const model = source.epochs.get(number)!.model!
    await this.#close()
    const history = new ImageHistory(image, this.#at)
    this.images.set(image, history)
    await this.#verb(() => model, () => this.#engine.fork({ epoch: `${source.image}@${number}`, image }))
    history.made.end = this.#at
    await this.#open(image, model.clone())
  }

  async removeEpoch(): Promise<void> {
    const { history } = this.#head
    const numbers = this.#epochNumbers().filter((number) => history.isPinned(number, this.#at) === false)
    if (numbers.length < 2) return
    const number = this.#random.pick(numbers)
    const epoch = history.epochs.get(number)!
    epoch.removed = { begin: this.#at, end: Infinity }
    const { model } = history.commits.at(-1)!
    await this.#verb(() => model, () => this.#engine.remove({ target: `${history.image}@${number}` }))
    epoch.removed.end = this.#at
  }

  /** Removes an image that is not the one in use, if there is one. */
  async removeImage(): Promise<void> {
    const others = [...this.images.values()].filter(({ image, removed }) => image !== this.#head.history.image && removed === null)
    const history = others.find((other) => [...other.epochs.keys()].every((number) => other.isPinned(number, this.#at) === false))
    if (history === undefined) return
    history.removed = { begin: this.#at, end: Infinity }
    await this.#verb(() => null, () => this.#engine.remove({ target: history.image }))
    history.removed.end = this.#at
  }

  async pin(pinned: boolean): Promise<void> {
    const { history } = this.#head
    const number = this.#anyEpoch()
    const pin = { number, pinned, span: { begin: this.#at, end: Infinity } }
    history.pins.push(pin)
    await this.#verb(() => null, () => this.#engine.pin({ epoch: `${history.image}@${number}`, pinned }))
    pin.span.end = this.#at
  }

  async rebuildIndex(): Promise<void> {
    const { history, model } = this.#head
    await this.#close()
    await this.#verb(() => null, () => this.#engine.rebuildIndex())
    await this.#open(history.image, model)
  }

  /** Epochs go that the rules let go, then what nobody needs; `beside`: what is done to the head meanwhile. */
  async collect(request: GarbageRequest, beside: () => Promise<void> = async () => undefined): Promise<GarbageReport> {
    const removed = { begin: this.#at, end: Infinity }
    const collecting = this.#engine.collectGarbage(request)
    const [report] = await Promise.all([collecting, beside()])
    removed.end = this.#at
    for (const { epoch } of report.removedEpochs) {
      const [image, number] = epoch.split('@')
      this.images.get(image)!.epochs.get(Number(number))!.removed = removed
    }
    this.#copyIndex()
    return report
  }

  /** Bytes go bad on the medium while nobody has the store open; then a repair puts them right. */
  async spoil(change: () => void): Promise<CheckReport> {
    const { history, model } = this.#head
    await this.#close()
    await this.#engine.close()
    this.#copyIndex()
    this.spoiltAt = Math.min(this.spoiltAt, this.#at)
    change()
    await this.#openEngine()
    const report = await this.#verb(() => null, () => this.#engine.check({ readData: true, repair: true, from: this.repairFrom }))
    await this.#open(history.image, model)
    return report
  }

  async close(): Promise<void> {
    await this.#close()
    await this.#engine.close()
    this.#copyIndex()
  }

  get #at(): number {
    return this.recording.operations.length
  }

  async #openEngine(): Promise<void> {
    this.#engine = await openLocalEngine(this.directory, { env: this.recording.env, packBytesMax })
  }

  async #restart(): Promise<void> {
    await this.#engine.close()
    this.#copyIndex()
    await this.#openEngine()
  }

  /** What a mount begins with: the log is committed, what nobody refers to is gone. */
  async #open(image: string, model: Model | null): Promise<void> {
    const history = this.images.get(image)!
    model?.dropReferences()
    const start = await this.#verb(() => model?.clone() ?? null, () => this.#engine.openHead({ image }))
    this.#head = await HeadInUse.open(this.#use(history), start, model)
  }

  async #close(): Promise<void> {
    await this.#head.close()
    await this.#engine.closeHead({ image: this.#head.history.image })
  }

  #use(history: ImageHistory): Parameters<typeof HeadInUse.open>[0] {
    return { env: this.recording.env, random: this.#random, history, at: () => this.#at }
  }

  /** Runs a verb of the engine; what it publishes is noted. `busy`: the head is written meanwhile. */
  async #verb<T>(publishing: Publishing, call: () => Promise<T>, busy = false): Promise<T> {
    this.#publishing = publishing
    this.#span = { begin: this.#at, end: Infinity }
    if (busy) this.recording.interleave = () => (this.#random.below(4) === 0 ? this.meanwhile() : undefined)
    const span = this.#span
    try {
      return await call()
    } finally {
      this.recording.interleave = () => undefined
      span.end = this.#at
      this.#copyIndex()
    }
  }

  /** A record takes its place by a rename. */
  #noteRecord(operation: RecordedOperation): void {
    const place = operation.do === 'names' ? /^rename (\S+) to store\/images\/([^/]+)(\/head|\/epochs\/\d+|)$/.exec(operation.what) : null
    if (place === null) return
    const [, , image, rest] = place
    const history = this.images.get(image)
    if (history === undefined) return
    const files = new ImageFiles(this.recording.env, this.directory, image, domainKeys)
    const record = rest === '/head' ? files.head() : files.epoch(rest === '' ? 0 : Number(rest.slice('/epochs/'.length)))
    const manifest = record.manifest.toString('hex')
    // A repair publishes the record again that it puts right.
    if (history.commits.some((other) => other.commit === record.commit && other.manifest === manifest)) return
    const model = this.#publishing(record)?.clone() ?? null
    history.commits.push({
      span: this.#span, model, commit: record.commit, kind: record.kind, number: record.number, segment: record.segment, manifest,
    })
    if (record.kind === 'head') return
    const sealed = model?.clone() ?? null
    sealed?.dropReferences()
    history.epochs.set(record.number, { span: this.#span, model: sealed, removed: null, id: record.id.toString('hex') })
  }

  #epochNumbers(): number[] {
    return [...this.#head.history.epochs].filter(([, { removed }]) => removed === null).map(([number]) => number)
  }

  #anyEpoch(): number {
    return this.#random.pick(this.#epochNumbers())
  }

  #copyIndex(): void {
    this.indexes.add(join(this.directory, 'index'), this.#at)
  }
}
