/** Connections that the supervisor keeps: this process uses the devices that it inherited, and says what for. */
import { HoldfastError } from '../../errors.ts'
import { HeldDevice } from '../../mount/held-device.ts'
import type { ConnectionKeeper, KeptConnection, MountClaim, OrphanedMount } from '../../mount/keeper.ts'
import type { SupervisorLink } from './link.ts'
import type { KeptMount, Slot } from './messages.ts'

export class SupervisedKeeper implements ConnectionKeeper {
  readonly #link: SupervisorLink
  readonly #free: Slot[]
  #survivesKills: boolean

  /** `survivesKills`: as far as the supervisor knows; a mount's kernel may know better. */
  constructor(link: SupervisorLink, free: Slot[], survivesKills: boolean) {
    this.#link = link
    this.#free = free
    this.#survivesKills = survivesKills
  }

  get survivesKills(): boolean {
    return this.#survivesKills
  }

  /** Mounts that can still be made before this process has to be replaced. */
  get freeCount(): number {
    return this.#free.length
  }

  async claim(claim: MountClaim): Promise<KeptConnection> {
    const slot = this.#free.shift()
    if (slot === undefined) {
      throw new HoldfastError('BUSY', "no more mounts can be made by this process: 'holdfast daemon restart' helps")
    }
    await this.#link.ask({ type: 'claim', slot: slot.slot, claim })
    return this.#kept(slot)
  }

  /** A mount that the process before this one served. */
  orphan(slot: Slot, mount: KeptMount): OrphanedMount {
    return { ...mount, kept: this.#kept(slot) }
  }

  #kept({ slot, descriptor }: Slot): KeptConnection {
    const link = this.#link
    const device = new HeldDevice(descriptor)
    return {
      descriptor,
      // By the supervisor: a fork of that small process takes a millisecond, of this one twenty.
      run: async (program, parameters, descriptors) => {
        const question = { slot, program, parameters, hasDevice: descriptors.length > 0 }
        const end = await link.ask({ type: 'run', ...question })
        if (end === null || !('status' in end)) throw new TypeError('the supervisor answered something else')
        return end
      },
      served: async (facts) => {
        this.#survivesKills &&= facts.negotiated.flags.includes('HAS_RESEND')
        await link.ask({ type: 'served', slot, facts })
      },
      // By the supervisor: a thread that waits for its own process keeps that from being reaped.
      lookUp: async () => void await link.ask({ type: 'lookUp', slot }),
      lookUpFiles: async (paths) => void await link.ask({ type: 'lookUp', slot, paths }),
      crashed: () => {
        if (this.#survivesKills) link.tell({ type: 'crashed', slot })
        return this.#survivesKills
      },
      failed: (reason) => link.tell({ type: 'failed', slot, reason }),
      async close() {
        device.close()
        await link.ask({ type: 'release', slot })
      },
    }
  }
}
