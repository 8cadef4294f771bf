import type { Identity } from '../driver.ts'
import { isDriverError } from '../errors.ts'
import type { Host, SocketDirectory } from '../host.ts'
import { setGuestClock } from './agent.ts'
import type { Control } from './control.ts'
import { runFiles } from './rundir.ts'

/** Rounds of announcements and their spacing in milliseconds: QEMU's own defaults, said here so that they are known. */
const announcement = Object.freeze({ initial: 50, max: 550, rounds: 5, step: 100 })

export interface IdentityTraits {
  /**
   * The generation id was renewed by the load: QEMU writes the new one into the guest and notifies it then,
   * and has no other time.
   */
  readonly generationRenewed: boolean
  readonly guestAgent: boolean
  readonly network: boolean
}

export class QemuIdentity implements Identity {
  readonly #host: Host
  readonly #control: Control
  readonly #sockets: SocketDirectory
  readonly #traits: IdentityTraits

  constructor(host: Host, control: Control, sockets: SocketDirectory, traits: IdentityTraits) {
    this.#host = host
    this.#control = control
    this.#sockets = sockets
    this.#traits = traits
  }

  newGenerationId(): Promise<boolean> {
    return Promise.resolve(this.#traits.generationRenewed)
  }

  async setWallClock(unixMs: number): Promise<boolean> {
    if (!this.#traits.guestAgent) return false
    try {
      return await setGuestClock(
        await this.#sockets.connect(runFiles.agentSocket),
        unixMs,
        Math.round(this.#host.nowMs() * 1000),
      )
    } catch (error) {
      if (isDriverError(error, 'DISCONNECTED')) throw await this.#control.explain(error)
      throw error
    }
  }

  async announce(on: boolean): Promise<boolean> {
    if (!on || !this.#traits.network) return false
    await this.#control.execute('announce-self', { ...announcement })
    return true
  }
}
