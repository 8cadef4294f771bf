/** What is looked at before anything is put on a replica: that it is there, of our domain, and has our keys. */
import type { Env } from '../../env/env.ts'
import { HoldfastError } from '../../errors.ts'
import { joinDomain } from '../domain.ts'
import { bringKeys } from '../keys-object.ts'
import { domainPath } from '../layout.ts'
import { lookForRootMs } from '../limits.ts'
import type { Outbox } from '../outbox.ts'
import type { CallOptions, Replica } from '../replica.ts'

export interface DoorParts {
  readonly env: Env
  readonly outbox: Outbox
  readonly replica: Replica
  readonly onEvent: (message: string) => void
}

export class ReplicaDoor {
  readonly #parts: DoorParts
  #isJoined = false
  /** Of the keys that were compared with the replica's last. */
  #keysRevision = -1
  /** When its root was last seen, by the monotonic clock. */
  #lookedMs = -Infinity

  constructor(parts: DoorParts) {
    this.#parts = parts
  }

  /**
   * A disk that is not mounted looks empty: what was a replica is filled anew only when somebody asks for it.
   * Errors: NOT_FOUND, WRONG_DOMAIN, those of every call.
   */
  async enter(isNew: boolean, call: CallOptions): Promise<void> {
    const { env, replica, outbox } = this.#parts
    const nowMs = env.monotonicMs()
    const isDue = nowMs - this.#lookedMs >= lookForRootMs
    if (!isNew && isDue && await replica.stat(domainPath, call) === null) {
      const message = `${replica.url} is empty, and it was not: look whether its disk is there, or have it filled again`
      throw new HoldfastError('NOT_FOUND', `${message} with 'holdfast replica sync'`, { info: { url: replica.url } })
    }
    if (isDue) this.#lookedMs = nowMs
    if (!this.#isJoined) await joinDomain(replica, outbox, call)
    this.#isJoined = true
    await this.#bringKeys(isDue, call)
  }

  /** What is known is found out again. */
  forget(): void {
    this.#isJoined = false
    this.#keysRevision = -1
    this.#lookedMs = -Infinity
  }

  /** They are there before anything that is sealed with them. */
  async #bringKeys(isDue: boolean, call: CallOptions): Promise<void> {
    const { replica, outbox, onEvent } = this.#parts
    const keys = outbox.keysFile()
    if (keys === null || (!isDue && keys.revision === this.#keysRevision)) return
    const outcome = await bringKeys(replica, keys, call)
    if (outcome === 'older' && this.#keysRevision !== keys.revision) {
      onEvent('another store of the domain has changed its keys: the replica opens with the secrets of that one')
    }
    this.#keysRevision = keys.revision
  }
}
