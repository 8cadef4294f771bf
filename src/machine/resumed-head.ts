/** The two heads that a machine can be resumed on: its own image's, set back, or that of a new fork. */
import { messageOf } from '../errors.ts'
import type { EpochSummary } from '../image/types.ts'
import type { MachineContext } from './context.ts'
import type { ImageMachine } from './image-machine.ts'

export interface ResumedHead {
  readonly isFork: boolean
  /** The epoch that keeps what the head held before; null where there was nothing to keep. Set by `make`. */
  readonly sealed: EpochSummary | null
  /** Before anything is started: frees what two machines of one image cannot both have. */
  clear(): Promise<void>
  /** Makes the head, beside the start of the hypervisor. Errors: BUSY, EXISTS, IO, NO_SPACE. */
  make(): Promise<void>
  /** The resume came to nothing. */
  undo(reason: unknown): Promise<void>
}

export class RolledBackHead implements ResumedHead {
  readonly isFork = false
  sealed: EpochSummary | null = null
  readonly #context: MachineContext
  /** Of the epoch that is resumed. */
  readonly #address: string
  readonly #machine: ImageMachine
  readonly #discard: boolean
  #isMade = false

  constructor(context: MachineContext, address: string, machine: ImageMachine, discard: boolean) {
    this.#context = context
    this.#address = address
    this.#machine = machine
    this.#discard = discard
  }

  /** The old hypervisor has the ports of the host that the new one will listen on. */
  clear(): Promise<void> {
    return this.#machine.kill()
  }

  async make(): Promise<void> {
    await this.#machine.end()
    const { engine } = this.#context
    this.sealed = (await engine.rollback({ epoch: this.#address, discard: this.#discard })).sealed
    this.#isMade = true
  }

  async undo(reason: unknown): Promise<void> {
    if (this.#isMade) this.#machine.fail(`its resume from ${this.#address} failed: ${messageOf(reason)}`)
  }
}

export class ForkHead implements ResumedHead {
  readonly isFork = true
  readonly sealed = null
  readonly #context: MachineContext
  /** Of the epoch that is resumed. */
  readonly #address: string
  readonly #image: string
  #isMade = false

  constructor(context: MachineContext, address: string, image: string) {
    this.#context = context
    this.#address = address
    this.#image = image
  }

  async clear(): Promise<void> {}

  async make(): Promise<void> {
    await this.#context.engine.fork({ epoch: this.#address, image: this.#image })
    this.#isMade = true
  }

  async undo(): Promise<void> {
    if (this.#isMade) await this.#context.engine.remove({ target: this.#image })
  }
}
