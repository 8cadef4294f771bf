/** What an epoch gets besides the log's content. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { machineFactsBytesMax, machineStateBytesMax, noteBytesMax } from '../limits.ts'
import type { MachineState } from './types.ts'

export interface SealDetail {
  note: string
  wallMs: number
  machine: MachineState | null
}

/** A record that holds too much could not be read again. Errors: USAGE. */
export function refuseTooLarge({ note, machine }: SealDetail): void {
  const parts = [
    { what: 'the note', bytes: Buffer.byteLength(note), bytesMax: noteBytesMax },
    { what: "the machine's state", bytes: machine?.state.length ?? 0, bytesMax: machineStateBytesMax },
    { what: "the machine's facts", bytes: factsBytes(machine), bytesMax: machineFactsBytesMax },
  ]
  for (const { what, bytes, bytesMax } of parts) {
    if (bytes <= bytesMax) continue
    throw new HoldfastError('USAGE', `${what} has ${bytes} bytes, an epoch holds up to ${bytesMax}`)
  }
}

function factsBytes(machine: MachineState | null): number {
  return machine === null ? 0 : Buffer.byteLength(JSON.stringify(machine.facts))
}
