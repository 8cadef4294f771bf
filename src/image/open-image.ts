/**
 * An image of an open store, and the one way in which its records come about: log records are applied to the
 * newest manifest, the store is synced, a record is published, and only then are the segments removed. A
 * commit behind a running mount, a seal and a recovery after a crash differ in nothing but the record's kind.
 *
 * Calls for one image run one after the other, in the order they were made.
 */
import type { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode } from '../errors.ts'
import type { EpochRecord, StoredEpoch } from '../format/epoch.ts'
import { type Manifest, decodeManifest } from '../format/manifest.ts'
import type { ChunkId, ChunkStore } from '../store/chunks.ts'
import { applyChanges, storeManifest, withoutOrphans } from './apply.ts'
import { storeBlob } from './blob.ts'
import { breathe } from '../store/progress.ts'
import { Changes } from './changes.ts'
import { ServedManifests } from './collection/served-manifests.ts'
import { CountingStore } from './counting-store.ts'
import { EpochStatistics, summarize } from './epochs.ts'
import { type Fence, readFence } from './fence.ts'
import { ImageFiles, type ImageIdentity } from './image-files.ts'
import { parseSegmentName } from './layout.ts'
import { listSegments, LogReader } from './log-reader.ts'
import { parentOf } from './parent.ts'
import type { ReplicaLevels } from './replica-levels.ts'
import { setAside } from './ruined-segment.ts'
import { type SealDetail, refuseTooLarge } from './seal-detail.ts'
import { NodeStore } from './tree/index.ts'
import type { CallOptions, CommitResult, EpochSummary, MachineState } from './types.ts'

export interface ImageContext {
  env: Env
  directory: string
  store: ChunkStore
  domainId: Buffer
  keyId: number
  /** Null where nothing is encrypted. */
  keys: DomainKeys | null
  levels: ReplicaLevels
}

/** What a commit found in the log and made of it, before any record names it. */
interface Outcome extends Pick<EpochRecord, 'writtenBytes' | 'sequence' | 'lastRequest'> {
  manifest: Manifest
}

export class OpenImage {
  readonly files: ImageFiles
  readonly identity: ImageIdentity
  readonly statistics: EpochStatistics
  /** The head is served by a mount: only commits may touch it. */
  isServed = false
  readonly served = new ServedManifests()
  /** Sentences for the user, until somebody takes them. */
  readonly notices: string[] = []
  /** Another writer has taken it over. */
  fence: Fence | null
  readonly #context: ImageContext
  /** Null until it is asked for, so that an image whose newest record is damaged still shows its epochs. */
  #newest: StoredEpoch | null = null
  /** A record may or may not be durable: what the log holds is not to be removed, nor another record written. */
  #failure: unknown = null
  #storedSinceEpoch = 0
  #queue: Promise<unknown> = Promise.resolve()

  /** Errors: NOT_FOUND, DAMAGED, NEWER_VERSION. */
  constructor(context: ImageContext, image: string) {
    this.#context = context
    this.files = new ImageFiles(context.env, context.directory, image, context.keys)
    this.files.requireThere()
    this.files.requireDirectories()
    this.identity = this.files.identity()
    this.fence = readFence(context.env, this.files.layout)
    this.statistics = new EpochStatistics(context.env, this.files.layout.stats)
  }

  /** The record that the head stands on. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION, FAILED_STATE. */
  get newest(): StoredEpoch {
    if (this.#failure !== null) {
      const message = `a record of ${this.identity.image} could not be written: open the store again`
      throw new HoldfastError('FAILED_STATE', message, { cause: this.#failure })
    }
    this.#newest ??= this.files.newest()
    return this.#newest
  }

  /** Runs a step after all earlier ones of this image. */
  inOrder<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(step)
    this.#queue = result.catch(() => undefined)
    return result
  }

  summary(record: StoredEpoch): EpochSummary {
    const replicas = this.#context.levels.of(this.identity.id, this.fence, record.number)
    return summarize(this.files, record, this.statistics.get(record.number), replicas)
  }

  /** Every replica is known to have it, or there is none. */
  isReplicated(number: number): boolean {
    const { have, of } = this.#context.levels.of(this.identity.id, this.fence, number)
    return have === of
  }

  /** Segments that no record covers yet. */
  pendingSegments(upTo = Infinity): number[] {
    const numbers = listSegments(this.#context.env, this.files.layout)
    return numbers.filter((number) => number > this.newest.segment && number <= upTo)
  }

  /** Something was written or renamed since the epoch that the head descends from. */
  get hasUnsealedChanges(): boolean {
    if (this.pendingSegments().length > 0) return true
    if (this.newest.kind === 'epoch') return false
    const parent = this.#ownParent()
    return parent === null || !parent.manifest.equals(this.newest.manifest)
  }

  /** Covers segments with a head record. Errors: DAMAGED, NO_SPACE, IO, FAILED_STATE, ABORTED. */
  async commitHead(upTo: number, dropOrphans: boolean, options: CallOptions): Promise<CommitResult> {
    const counting = new CountingStore(this.#context.store)
    const nodes = new NodeStore(counting)
    const before = this.newest
    const outcome = await this.#replay(counting, nodes, upTo, options)
    const manifest = dropOrphans ? withoutOrphans(nodes, outcome.manifest) : outcome.manifest
    const root = storeManifest(counting, manifest, before.manifest)
    await counting.sync()
    const head = this.#publish({
      ...this.#successor(outcome, upTo), kind: 'head', manifest: root, number: before.number,
      parent: parentOf(before, this.identity), wallMs: Math.round(this.#context.env.wallMs()), machine: null,
      pauseUs: 0, note: '',
    })
    this.#storedSinceEpoch += counting.storedBytes
    this.#removeSegments(head.segment)
    return this.#result(outcome.writtenBytes, counting.storedBytes, root)
  }

  /** Covers segments with a new epoch. Errors: as commitHead. */
  async seal(upTo: number, detail: SealDetail, options: CallOptions): Promise<CommitResult> {
    refuseTooLarge(detail)
    const counting = new CountingStore(this.#context.store)
    const nodes = new NodeStore(counting)
    const before = this.newest
    const outcome = await this.#replay(counting, nodes, upTo, options)
    const root = storeManifest(counting, withoutOrphans(nodes, outcome.manifest), before.manifest)
    const headRoot = storeManifest(counting, outcome.manifest, before.manifest)
    const machine = detail.machine === null ? null : this.#storeMachine(counting, nodes, detail.machine)
    await counting.sync()
    const number = before.nextNumber
    const epoch = this.files.preparedEpoch({
      ...this.#successor(outcome, upTo), kind: 'epoch', number, nextNumber: number + 1, manifest: root,
      parent: parentOf(before, this.identity), wallMs: detail.wallMs, note: detail.note, machine,
      pauseUs: Math.round((detail.machine?.pauseMs ?? 0) * 1000),
    })
    // The head comes first: the log goes on with orphans, and an epoch alone would cover what made them.
    const head = outcome.manifest.orphans.length > 0 ? this.#headOver(epoch, headRoot) : null
    this.#publish(epoch)
    this.#newest = head ?? epoch
    this.statistics.add(number, this.#storedSinceEpoch + counting.storedBytes)
    this.#storedSinceEpoch = 0
    this.#removeSegments(epoch.segment)
    return { ...this.#result(epoch.writtenBytes, counting.storedBytes, headRoot), epoch: this.summary(epoch) }
  }

  /** Makes an epoch the head's parent; what the log held is gone. */
  resetHead(target: StoredEpoch): void {
    const { env } = this.#context
    const before = this.#lastKnown(target)
    const segment = Math.max(before.segment, ...listSegments(env, this.files.layout))
    this.#publish({
      ...before, kind: 'head', manifest: target.manifest, number: target.number, segment,
      parent: parentOf(target, this.identity),
      commit: before.commit + 1, writtenBytes: 0, wallMs: Math.round(env.wallMs()), machine: null, pauseUs: 0,
      note: '',
    })
    this.#storedSinceEpoch = 0
    this.#removeSegments(segment)
  }

  /** Writes the head's own record, so that it no longer rests on its newest epoch's. */
  detachHead(): void {
    if (this.newest.kind === 'epoch') this.#headOver(this.newest, this.newest.manifest)
  }

  /** The newest record or, where it is damaged, what stands in for it when the head is set to `target` anyhow. */
  #lastKnown(target: StoredEpoch): StoredEpoch {
    try {
      return this.newest
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'BAD_FORMAT')) throw error
      const nextNumber = Math.max(target.nextNumber, ...this.files.epochNumbers().map((number) => number + 1))
      return { ...target, nextNumber }
    }
  }

  #publish(record: EpochRecord): StoredEpoch {
    try {
      this.#newest = record.kind === 'head' ? this.files.publishHead(record) : this.files.publishEpoch(record)
      return this.#newest
    } catch (error) {
      // Without space nothing took the record's name. After any other failure it may have, durably or not.
      if (!isCode(error, 'NO_SPACE', 'USAGE')) this.#failure = error
      throw error
    }
  }

  async #replay(store: ChunkStore, nodes: NodeStore, upTo: number, options: CallOptions): Promise<Outcome> {
    const { env } = this.#context
    using log = new LogReader(env, this.files.layout, this.identity.id, this.#context.keys)
    const segments = this.pendingSegments(upTo)
    const manifest = decodeManifest(store.read(this.newest.manifest))
    const changes = new Changes(nodes, manifest, this.newest)
    let count = 0
    for (const record of log.records(segments, { sequence: this.newest.sequence, isWhole: this.isServed })) {
      changes.add(record)
      count += 1
      if (count % recordsBetweenTurns === 0) await breathe(options)
    }
    if (this.isServed) this.#requireWhole(log, upTo, changes.nextSequence)
    this.notices.push(...setAside(env, this.#context.directory, log.ruined))
    return {
      manifest: changes.isEmpty ? manifest : await applyChanges({ store, nodes, log }, manifest, changes, options),
      writtenBytes: (this.newest.kind === 'head' ? this.newest.writtenBytes : 0) + changes.writtenBytes,
      sequence: changes.nextSequence,
      lastRequest: changes.lastRequest,
    }
  }

  /** What the writer has begun since tells where the segments before it must end. Errors: DAMAGED. */
  #requireWhole(log: LogReader, upTo: number, sequence: number): void {
    const next = listSegments(this.#context.env, this.files.layout).find((number) => number > upTo)
    const first = next === undefined ? null : log.firstSequence(next)
    if (first === null || first === sequence) return
    throw new HoldfastError('DAMAGED', `the log of ${this.identity.image} lacks the end of segment ${upTo}: unmount ` +
      'the image, and roll back to an epoch')
  }

  #successor(outcome: Outcome, upTo: number): EpochRecord {
    return {
      ...this.newest,
      domainId: this.#context.domainId, keyId: this.#context.keyId,
      commit: this.newest.commit + 1,
      segment: Number.isFinite(upTo) ? Math.max(upTo, this.newest.segment)
        : Math.max(this.newest.segment, ...this.pendingSegments()),
      sequence: outcome.sequence, lastRequest: outcome.lastRequest, writtenBytes: outcome.writtenBytes,
    }
  }

  #headOver(epoch: StoredEpoch, manifest: Buffer): StoredEpoch {
    return this.#publish({
      ...epoch, kind: 'head', manifest, commit: epoch.commit + 1, machine: null, note: '', pauseUs: 0, writtenBytes: 0,
      parent: parentOf(epoch, this.identity),
    })
  }

  #storeMachine(store: ChunkStore, nodes: NodeStore, machine: MachineState): EpochRecord['machine'] {
    return {
      stateRoot: storeBlob(store, nodes, machine.state, this.#lastStateRoot()),
      stateBytes: machine.state.length, facts: JSON.stringify(machine.facts),
    }
  }

  #lastStateRoot(): ChunkId | null {
    const last = this.newest.kind === 'epoch' ? this.newest : this.#ownParent()
    return last?.machine?.stateRoot ?? null
  }

  /** The head's parent where it is an epoch of this image, still there and readable. */
  #ownParent(): StoredEpoch | null {
    const { parent } = this.newest
    if (parent === null || !parent.imageId.equals(this.identity.id)) return null
    try {
      return this.files.epoch(parent.number)
    } catch (error) {
      if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT')) return null
      throw error
    }
  }

  #result(writtenBytes: number, storedBytes: number, manifest: Buffer): CommitResult {
    this.served.committed(this.newest.segment, manifest)
    return {
      image: this.identity.image, segment: this.newest.segment, manifest: manifest.toString('hex'), writtenBytes,
      storedBytes,
    }
  }

  #removeSegments(upTo: number): void {
    const { env } = this.#context
    for (const name of env.readdir(this.files.layout.log)) {
      const parsed = parseSegmentName(name)
      if (parsed !== null && parsed.segment <= upTo) env.unlink(this.files.layout.segment(parsed.segment, parsed.lane))
    }
  }
}

const recordsBetweenTurns = 256
