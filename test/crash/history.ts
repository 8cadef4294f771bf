/**
 * What a workload did and was told, each with the number of operations recorded by then: what a crash between
 * two operations must, may and must not have kept. A change is allowed from its beginning on and required once
 * its caller was told that it is done.
 */
import type { Lane } from '../../src/format/log.ts'
import type { Model, Operation } from '../image/model.ts'

export interface Span {
  readonly begin: number
  /** Infinity until it is done. */
  end: number
}

export interface Logged {
  readonly operation: Operation
  readonly lane: Lane
  readonly segment: number
  /** Length of the lane's file after it. */
  readonly bytesEnd: number
  /** Operations recorded after it. */
  readonly at: number
}

export interface Sync {
  /** Covers the first so many entries of `logged`, as far as they are in the disk lane. */
  readonly count: number
  readonly end: number
}

/** A record that took its place: the image's state after a commit. */
export interface Commit {
  readonly commit: number
  readonly kind: 'epoch' | 'head'
  readonly number: number
  readonly manifest: string
  readonly segment: number
  readonly span: Span
  /** Null for what is only checked, not compared. */
  model: Model | null
}

export interface Epoch {
  readonly id: string
  readonly span: Span
  removed: Span | null
  model: Model | null
}

export class ImageHistory {
  readonly image: string
  readonly made: Span
  removed: Span | null = null
  readonly commits: Commit[] = []
  readonly epochs = new Map<number, Epoch>()
  readonly logged: Logged[] = []
  readonly syncs: Sync[] = []
  /** By number, in their order: pinned or not. */
  readonly pins: { number: number; pinned: boolean; span: Span }[] = []

  constructor(image: string, begin: number) {
    this.image = image
    this.made = { begin, end: Infinity }
  }

  /** Entries of `logged` that a crash at `at` must have kept, by count: those of the disk lane among them. */
  syncedCount(at: number): number {
    return Math.max(0, ...this.syncs.filter(({ end }) => end <= at).map(({ count }) => count))
  }

  /** The newest commit that somebody was told of by then. */
  acknowledgedCommit(at: number): number {
    return Math.max(0, ...this.commits.filter(({ span }) => span.end <= at).map(({ commit }) => commit))
  }

  mustHaveEpoch(number: number, at: number): boolean {
    const epoch = this.epochs.get(number)!
    return epoch.span.end <= at && (epoch.removed === null || epoch.removed.begin >= at)
  }

  mayHaveEpoch(number: number, at: number): boolean {
    const epoch = this.epochs.get(number)
    return epoch !== undefined && epoch.span.begin <= at && (epoch.removed === null || epoch.removed.end > at)
  }

  mustBeThere(at: number): boolean {
    return this.made.end <= at && (this.removed === null || this.removed.begin >= at)
  }

  mayBeThere(at: number): boolean {
    return this.made.begin <= at && (this.removed === null || this.removed.end > at)
  }

  /** Undefined where a change was under way. */
  isPinned(number: number, at: number): boolean | undefined {
    const changes = this.pins.filter((pin) => pin.number === number && pin.span.begin < at)
    const last = changes.at(-1)
    if (last === undefined) return false
    return last.span.end <= at ? last.pinned : undefined
  }
}
