/**
 * The commits that follow behind a mount, in the order of their barriers: one that covers a later segment
 * never overtakes a seal.
 */
import { isCode, messageOf } from '../errors.ts'
import type { Engine } from '../image/engine.ts'
import type { CommitRequest, CommitResult } from '../image/types.ts'

export interface CommitsOptions {
  engine: Engine
  image: string
  /** Segments up to this number are committed. */
  committedTo: number
  /** A commit is durable; its segments are gone. */
  onCommitted: (result: CommitResult) => void
  /** It is tried again. */
  onDelay: (message: string) => void
  onFailure: (message: string) => void
}

/** What a barrier lay before, until it is said what becomes of it. */
export interface OpenCommit {
  /** Makes it an epoch; resolves when it is durable. */
  seal(detail: Pick<CommitRequest, 'note' | 'wallMs' | 'machine'>): Promise<CommitResult>
  /** No epoch after all: it is committed to the head. */
  abandon(): void
}

/** A commit that lacked space is tried again after this. */
const retryMs = 1000

export class Commits {
  readonly #options: CommitsOptions
  #queue: Promise<unknown> = Promise.resolve()
  #committedTo: number
  /** The last in the queue, where it may still grow. */
  #waiting: { segment: number } | null = null
  #retry: NodeJS.Timeout | null = null

  constructor(options: CommitsOptions) {
    this.#options = options
    this.#committedTo = options.committedTo
  }

  /**
   * Commits segments up to this number when all before is done; what goes wrong is told. One that still waits
   * its turn then takes this one along: chunks that both touch are made once. `alone`: it does not.
   */
  behind(segment: number, { alone = false } = {}): void {
    if (!alone && this.#waiting !== null) {
      this.#waiting.segment = Math.max(this.#waiting.segment, segment)
      return
    }
    const { image, onDelay, onFailure } = this.#options
    const group = { segment }
    this.#waiting = alone ? null : group
    this.#enqueue(() => {
      if (this.#waiting === group) this.#waiting = null
      return this.#commit({ image, segment: group.segment, kind: 'head' })
    }).catch((error: unknown) => {
      // Without space, or while no replica answers, nothing is lost: the segments stay, the next commit covers them.
      if (!isCode(error, 'NO_SPACE', 'REPLICA_UNREACHABLE')) return onFailure(messageOf(error))
      onDelay(messageOf(error))
      this.#retry = setTimeout(() => this.behind(group.segment), retryMs).unref()
    })
  }

  /** Commits what a server before left, in steps of which each counts. */
  inherited(segments: readonly number[]): void {
    for (const segment of takeoverSteps(segments)) this.behind(segment, { alone: true })
  }

  /** Takes the place of a commit up to `segment` in the order; all later ones wait for it. */
  open(segment: number): OpenCommit {
    let decide: (request: CommitRequest) => void = () => undefined
    this.#waiting = null
    const decided = new Promise<CommitRequest>((resolve) => (decide = resolve))
    const committed = this.#enqueue(async () => this.#commit(await decided))
    // A caller that abandons does not wait; a failure is told by the event and by the next caller.
    committed.catch(() => undefined)
    const base = { image: this.#options.image, segment }
    return {
      seal: (detail) => {
        decide({ ...base, kind: 'epoch', ...detail })
        return committed
      },
      abandon: () => decide({ ...base, kind: 'head' }),
    }
  }

  /**
   * The server reads by what was committed up to this segment. Said at once, not with the next commit: on an idle mount
   * there is none, and what the manifest before held would stay garbage that no collection may take.
   */
  retired(segment: number): void {
    const { engine, image, onDelay } = this.#options
    this.#enqueue(() => engine.retired({ image, segment })).catch((error: unknown) => onDelay(messageOf(error)))
  }

  /** Resolves when what was asked for is done; nothing is tried again. */
  async close(): Promise<void> {
    if (this.#retry !== null) clearTimeout(this.#retry)
    await this.#queue
  }

  #enqueue<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(step)
    this.#queue = result.catch(() => undefined)
    return result
  }

  async #commit(request: CommitRequest): Promise<CommitResult> {
    const { engine, image, onCommitted } = this.#options
    if (request.kind === 'head' && request.segment <= this.#committedTo) {
      return { image, segment: this.#committedTo, manifest: '', writtenBytes: 0, storedBytes: 0 }
    }
    const result = await engine.commit(request)
    this.#committedTo = result.segment
    onCommitted(result)
    return result
  }
}

/**
 * The last segments of what is committed at once: the first one, then two, then four. A server that is killed soon
 * has got on with it, and one that lives makes chunks that many segments touch not so often.
 */
function takeoverSteps(segments: readonly number[]): number[] {
  const steps: number[] = []
  for (let count = 1, done = 1; done - count < segments.length; count *= 2, done += count) {
    steps.push(segments[Math.min(done, segments.length) - 1])
  }
  return steps
}
