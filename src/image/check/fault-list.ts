/** The faults of one check, bounded; what is the same for several epochs is one fault. */
import { checkFaultsMax } from '../../limits.ts'
import type { CheckFault } from '../types.ts'

export class FaultList {
  readonly #faults = new Map<string, CheckFault>()
  readonly #epochs = new Map<string, Set<string>>()
  #leftOut = 0

  add(fault: Partial<CheckFault> & Omit<CheckFault, 'epochs' | 'files'>): void {
    const { what, where, message, epochs = [], files = [] } = fault
    // Epochs that share their files share their damage; anything else is told of where it lies.
    const key = JSON.stringify(what === 'files' ? [what, message, files] : [what, where, message])
    const known = this.#epochs.get(key)
    if (known !== undefined) {
      for (const epoch of epochs) known.add(epoch)
      return
    }
    if (this.#faults.size >= checkFaultsMax) {
      this.#leftOut += 1
      return
    }
    this.#faults.set(key, { what, where, message, epochs, files })
    this.#epochs.set(key, new Set(epochs))
  }

  list(): CheckFault[] {
    const faults = [...this.#faults].map(([key, fault]) => ({ ...fault, epochs: [...this.#epochs.get(key) ?? []] }))
    if (this.#leftOut === 0) return faults
    const message = `${this.#leftOut} more faults were found`
    return [...faults, { what: 'faults', where: 'the store', message, epochs: [], files: [] }]
  }
}
