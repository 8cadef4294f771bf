/**
 * What a thread does that stands by for a mount: it reads the mount's log while another process serves it. In a
 * takeover only the last records are left to read, and not all that is not committed.
 */
import { systemEnv } from '../env/system.ts'
import type { Secret } from '../crypto/secret.ts'
import { HoldfastError } from '../errors.ts'
import { ImageLayout } from '../image/layout.ts'
import { LogFollower } from '../image/log-follower.ts'
import type { HeadStart } from '../image/types.ts'
import { storeKeys } from '../store/keys.ts'

/** The mount that a thread stands by for. */
export interface AheadRequest {
  /** Of the store. */
  directory: string
  image: string
  secret?: Secret
}

/** They take some milliseconds: then whoever wants the thread gets it. */
const recordsBetweenTurns = 2048
/** What is written meanwhile is read in a few milliseconds. */
const pollMsMin = 50
/** While nothing is written. */
const pollMsMax = 400

export class LogAhead implements Disposable {
  readonly #request: AheadRequest
  readonly #isCaughtUp = Promise.withResolvers<void>()
  #follower: LogFollower | null
  #timer: NodeJS.Timeout | null = null
  #pollMs = pollMsMin

  /** A log that cannot be followed is not: who takes over reads it, and says what is wrong. */
  constructor(request: AheadRequest) {
    this.#request = request
    this.#follower = followerOf(request)
    this.#readOn()
  }

  /** All that was there is read. */
  get caughtUp(): Promise<void> {
    return this.#isCaughtUp.promise
  }

  /** Ends the following; the log as far as it was read, if it is that mount's. The caller closes it. */
  take({ directory, image }: Pick<HeadStart, 'directory' | 'image'>): LogFollower | undefined {
    const isAsked = this.#request.directory === directory && this.#request.image === image
    const follower = isAsked ? this.#follower : null
    if (isAsked) this.#follower = null
    this.close()
    return follower ?? undefined
  }

  /** Idempotent. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#follower?.close()
    this.#follower = null
    this.#isCaughtUp.resolve()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #readOn(): void {
    if (this.#follower === null) return this.close()
    const before = this.#follower.sequence
    try {
      const hasMore = this.#follower.catchUp(recordsBetweenTurns)
      if (!hasMore) this.#isCaughtUp.resolve()
      const isIdle = this.#follower.sequence === before
      this.#pollMs = isIdle ? Math.min(2 * this.#pollMs, pollMsMax) : pollMsMin
      this.#timer = setTimeout(() => this.#readOn(), hasMore ? 0 : this.#pollMs)
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      this.close()
    }
  }
}

function followerOf({ directory, image, secret }: AheadRequest): LogFollower | null {
  const env = systemEnv()
  try {
    return new LogFollower(env, new ImageLayout(directory, image), storeKeys(env, directory, secret))
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return null
  }
}
