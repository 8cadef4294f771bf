/**
 * Records that were put and are not in the index yet, in generations: one that still grows, and those whose
 * way into the index has begun. Bounded by `pendingRecordsMax` through its owner.
 */
import { Buffer } from 'node:buffer'
import type { RecordLocation } from '../format/keys.ts'
import { digestBytes } from '../limits.ts'
import type { ChunkId } from './chunks.ts'
import { type IndexOperation, type RecordLookup, putRecord } from './pack-index.ts'

export type Generation = Map<string, RecordLocation>

export class PendingRecords implements RecordLookup {
  #growing: Generation = new Map()
  #leaving: Generation[] = []

  get count(): number {
    return this.#growing.size
  }

  add(id: ChunkId, location: RecordLocation): void {
    this.#growing.set(recordName(id, location.depth), location)
  }

  locate(id: Buffer, depth: number): RecordLocation | undefined {
    if (this.#growing.size === 0 && this.#leaving.length === 0) return undefined
    const name = recordName(id, depth)
    return this.#growing.get(name) ?? this.#leaving.findLast((generation) => generation.has(name))?.get(name)
  }

  /** Ends the growing generation; it is found until it is dropped. */
  take(): Generation {
    const generation = this.#growing
    this.#leaving.push(generation)
    this.#growing = new Map()
    return generation
  }

  /** The index has it. */
  drop(generation: Generation): void {
    this.#leaving = this.#leaving.filter((other) => other !== generation)
  }
}

export function operationsOf(generation: Generation): IndexOperation[] {
  return Array.from(generation, ([name, location]) => putRecord(idOf(name), location))
}

/** An id and a depth as one key of a map. */
export function recordName(id: ChunkId, depth: number): string {
  return id.toString('latin1') + depth
}

function idOf(name: string): ChunkId {
  return Buffer.from(name.slice(0, digestBytes), 'latin1')
}
