/**
 * The devices that a supervisor holds: free ones for mounts to come, and those of mounts, with what their
 * next server must know. A running process cannot be given a descriptor, only one that is about to start; so
 * free devices are opened ahead and inherited.
 */
import { systemEnv } from '../../env/system.ts'
import { HeldDevice, lookUpControl, lookUpFiles, runMountProgram } from '../../mount/held-device.ts'
import type { ProgramEnd } from '../../mount/held-device.ts'
import type { MountClaim, MountFacts } from '../../mount/keeper.ts'
import { crashesMax, crashWindowMs, slotsFree } from '../limits.ts'
import type { KeptMount } from './messages.ts'

interface SlotState {
  readonly device: HeldDevice
  claim: MountClaim | null
  facts: MountFacts | null
  failure: string | null
  /** When serving threads of it ended by a fault, of late. */
  crashesMs: number[]
}

export class Slots {
  readonly #slots = new Map<number, SlotState>()
  readonly #canResend: boolean
  #last = 0

  /** `canResend` false: as on a kernel that cannot send requests again. */
  constructor(canResend: boolean) {
    this.#canResend = canResend
  }

  /** Opens devices until enough are free; all that there are, by slot. Errors: FuseError. */
  fill(): Map<number, number> {
    for (let free = this.free().length; free < slotsFree; free += 1) {
      this.#last += 1
      this.#slots.set(this.#last, { device: new HeldDevice(), claim: null, facts: null, failure: null, crashesMs: [] })
    }
    return new Map([...this.#slots].map(([slot, { device }]) => [slot, device.descriptor]))
  }

  free(): number[] {
    return [...this.#slots].filter(([, { claim }]) => claim === null).map(([slot]) => slot)
  }

  claim(slot: number, claim: MountClaim): void {
    this.#state(slot).claim = claim
  }

  /** Runs mount(8) or umount(8) for a slot. Errors: IO (the program is missing). */
  run(slot: number, program: string, parameters: readonly string[], hasDevice: boolean): Promise<ProgramEnd> {
    return runMountProgram(program, parameters, hasDevice ? [this.#state(slot).device.descriptor] : [])
  }

  async served(slot: number, facts: MountFacts): Promise<void> {
    this.#state(slot).facts = facts
  }

  async lookUp(slot: number, paths?: readonly string[]): Promise<void> {
    const { claim, facts } = this.#state(slot)
    if (claim === null) return
    const directory = facts?.directory ?? claim.directory
    if (paths === undefined) await lookUpControl(directory, claim.controlName)
    else await lookUpFiles(directory, paths)
  }

  crashed(slot: number): void {
    const state = this.#state(slot)
    const now = systemEnv().monotonicMs()
    state.crashesMs = [...state.crashesMs.filter((then) => now - then < crashWindowMs), now]
  }

  failed(slot: number, reason: string): void {
    this.#state(slot).failure = reason
  }

  async release(slot: number): Promise<void> {
    this.#state(slot).device.close()
    this.#slots.delete(slot)
  }

  /** To be called when the serving process is gone: the mounts to go on with, and where others were. */
  async orphans(): Promise<{ orphans: KeptMount[]; lost: string[] }> {
    const orphans: KeptMount[] = []
    const lost: string[] = []
    for (const [slot, { claim, facts, failure, crashesMs }] of [...this.#slots]) {
      if (claim === null) continue
      const isCurable = crashesMs.length < crashesMax
      if (facts !== null && isCurable && this.survives(facts)) orphans.push({ slot, failure, ...claim, ...facts })
      else {
        lost.push(claim.directory)
        await this.release(slot)
      }
    }
    return { orphans, lost }
  }

  survives({ negotiated }: MountFacts): boolean {
    return this.#canResend && negotiated.flags.includes('HAS_RESEND')
  }

  /** Images of the mounts that a next process can go on with. */
  images(): string[] {
    const states = [...this.#slots.values()]
    return states.flatMap(({ claim, facts }) => claim && facts && this.survives(facts) ? [claim.image] : [])
  }

  get mountCount(): number {
    return [...this.#slots.values()].filter(({ claim }) => claim !== null).length
  }

  async close(): Promise<void> {
    for (const slot of [...this.#slots.keys()]) await this.release(slot)
  }

  #state(slot: number): SlotState {
    const state = this.#slots.get(slot)
    if (state === undefined) throw new RangeError(`there is no slot ${slot}`)
    return state
  }
}
