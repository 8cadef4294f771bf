import { readSync } from 'node:fs'

const pageBytes = 4096
const blockBytes = 1024 * 1024
const magic = Buffer.from('HOLDFAST-COUNTER', 'latin1')

/** The workload's page in the guest's memory; `files/workload.py` draws it. */
export interface CounterPage {
  /** Where it lies in the guest's memory. */
  readonly offset: number
  readonly attempted: number
  readonly committed: number
  /** Milliseconds since the guest's boot at the last commit. */
  readonly committedMs: number
}

/**
 * Looks for the page in a memory file, that of a running guest or of an epoch. In a running guest the fields may be
 * of two moments. Returns undefined when the workload has not started.
 */
export function findCounterPage(descriptor: number, memoryBytes: number): CounterPage | undefined {
  const block = Buffer.allocUnsafe(blockBytes)
  for (let start = 0; start < memoryBytes; start += blockBytes) {
    const bytes = readSync(descriptor, block, 0, blockBytes, start)
    for (let offset = 0; offset + pageBytes <= bytes; offset += pageBytes) {
      if (magic.compare(block, offset, offset + magic.length) === 0) return decode(block, offset, start)
    }
  }
  return undefined
}

function decode(block: Buffer, offset: number, start: number): CounterPage {
  const field = (at: number): number => Number(block.readBigUInt64LE(offset + at))
  return { offset: start + offset, attempted: field(16), committed: field(24), committedMs: field(32) }
}
