/** What a store's own upkeep, verification and repair, may touch: the writer's parts, and no others. */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import type { RecordContent } from '../format/pack-record.ts'
import type { ChunkKind } from './chunks.ts'
import type { ExpectedRecord } from './damage.ts'
import type { StoreLayout } from './layout.ts'
import type { PackClass } from './pack-class.ts'
import type { PackIndex, RecordLookup } from './pack-index.ts'
import type { PackSet } from './pack-set.ts'
import { RecordReader } from './record-reader.ts'
import type { RecordSource } from './record-source.ts'
import type { VerifyInput } from './verification-run.ts'

export interface StoreInside {
  readonly env: Env
  readonly layout: StoreLayout
  readonly packs: PackSet
  readonly index: PackIndex
  readonly lookup: RecordLookup
  /** Records that were put and are not in the index yet. */
  readonly pending: RecordLookup
  /** The writer's own, which knows what is damaged. */
  readonly reader: RecordReader
  readonly source: RecordSource | undefined
  /** Appends a record as it is. */
  add(content: RecordContent, payload: Uint8Array, packClass: PackClass): void
  /** Appends a chunk whole, whatever records of it there are, so that all that builds on it can be read. */
  heal(plain: Buffer, kind: ChunkKind): void
  sync(): Promise<void>
  /** Runs a step between two syncs: no entry of what was put is on its way into the index then. */
  inTurn(step: () => Promise<void>): Promise<void>
}

export function verifyInputOf({ env, packs, lookup, index, reader }: StoreInside): VerifyInput {
  return {
    env, packs: packs.packs(), strangers: packs.strangers, lookup, reader: new RecordReader(lookup, packs),
    condemn: (id, depth) => reader.condemn(id, depth),
    indexedIn: (packNumber) => indexedIn(index, packNumber),
  }
}

async function indexedIn(index: PackIndex, packNumber: number): Promise<ExpectedRecord[]> {
  const found: ExpectedRecord[] = []
  for await (const { id, location } of index.records()) {
    const { depth, offset, recordBytes } = location
    if (location.packNumber === packNumber) found.push({ id: Buffer.from(id), depth, offset, recordBytes })
  }
  return found.sort((a, b) => a.offset - b.offset)
}
