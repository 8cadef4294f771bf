/** A store's packs as a source of records for another store. */
import type { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { unsealedRecord } from '../../src/crypto/pack-seal.ts'
import { packHeaderBytes } from '../../src/format/pack-header.ts'
import { readRecordHeader, recordBytesOf } from '../../src/format/pack-record.ts'
import type { RecordSource } from '../../src/store/record-source.ts'
import { packPaths } from './support.ts'
import { sealOfPack } from './variant.ts'

/** All records of a store's packs by the ids of their chunks, in hexadecimal. */
export function recordsOf(directory: string): Map<string, Buffer> {
  const records = new Map<string, Buffer>()
  for (const path of packPaths(directory)) {
    const bytes = fs.readFileSync(path)
    for (let at = packHeaderBytes; at < bytes.length;) {
      const header = readRecordHeader(bytes, at)
      if (header === undefined) break
      const end = at + recordBytesOf(header)
      records.set(header.id.toString('hex'), unsealedRecord(sealOfPack(bytes), bytes.subarray(at, end), header, at))
      at = end
    }
  }
  return records
}

/** Gives what a store has, bases first, and notes what was asked. */
export class StoreSource implements RecordSource {
  readonly asked: string[] = []
  readonly #records: Map<string, Buffer>

  constructor(directory: string) {
    this.#records = recordsOf(directory)
  }

  fetch(ids: readonly Buffer[]): Buffer[] {
    this.asked.push(...ids.map((id) => id.toString('hex')))
    return ids.flatMap((id) => this.#closure(id))
  }

  #closure(id: Buffer): Buffer[] {
    const record = this.#records.get(id.toString('hex'))!
    const { baseId } = readRecordHeader(record, 0)!
    return baseId === undefined ? [record] : [...this.#closure(baseId), record]
  }
}
