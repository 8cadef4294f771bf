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
  #retry: NodeJS.Timeout | null = null

  constructor(options: CommitsOptions) {
    this.#options = options
    this.#committedTo = options.committedTo
  }

  /** Commits segments up to this number when all before is done; what goes wrong is told. */
  behind(segment: number): void {
    const { image, onDelay, onFailure } = this.#options
    this.#enqueue(() => this.#commit({ image, segment, kind: 'head' })).catch((error: unknown) => {
      // Without space nothing is lost: the segments stay, and the next commit covers them too.
      if (!isCode(error, 'NO_SPACE')) return onFailure(messageOf(error))
      onDelay(messageOf(error))
      this.#retry = setTimeout(() => this.behind(segment), retryMs).unref()
    })
  }

  /** Takes the place of a commit up to `segment` in the order; all later ones wait for it. */
  open(segment: number): OpenCommit {
    let decide: (request: CommitRequest) => void = () => undefined
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
