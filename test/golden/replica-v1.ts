/** What version 1 puts on replicas: a batch of two records, whose packs have both kinds of name, and a run. */
import { Buffer } from 'node:buffer'
import { decodeEpochBatch, encodeEpochBatch } from '../../src/format/epoch-batch.ts'
import { encodeEpoch, epochIdentityOf } from '../../src/format/epoch.ts'
import { decodeRunHead, encodeIndexRun, entriesOfRun } from '../../src/format/index-run.ts'
import type { RunEntry } from '../../src/format/index-run.ts'
import { goldenEpoch } from './epoch-v1.ts'

const { domainId, keyId, imageId } = goldenEpoch
const records = [goldenEpoch, { ...goldenEpoch, number: 13, note: '', machine: null }]
  .map((record) => Buffer.from(epochIdentityOf(encodeEpoch(record))))
const packs = ['6a'.repeat(16), `${'6b'.repeat(16)}.0123456789abcdef1`]

/** Two depths of one id, and another id in another pack. */
const entries: readonly RunEntry[] = [
  { id: Buffer.alloc(32, 0x11), packId: Buffer.alloc(16, 0x6a), place: { offset: 64, recordBytes: 1000, kind: 1, codec: 1, depth: 0 } },
  { id: Buffer.alloc(32, 0x11), packId: Buffer.alloc(16, 0x6b), place: { offset: 4096, recordBytes: 99, kind: 1, codec: 2, depth: 1 } },
  { id: Buffer.alloc(32, 0xfe), packId: Buffer.alloc(16, 0x6a), place: { offset: 1064, recordBytes: 65_600, kind: 2, codec: 0, depth: 0 } },
]

export const goldenReplicaFormats = [
  {
    name: 'batch of records', encode: () => encodeEpochBatch({ domainId, keyId, imageId, packs, records }), decode: batchOf,
    value: { records, packs, numbers: [12, 13] },
  },
  {
    name: 'index run', encode: () => encodeIndexRun({ domainId, keyId }, entries), decode: runOf,
    value: { identity: { domainId, keyId }, entries },
  },
]

function batchOf(bytes: Buffer): unknown {
  const { epochs, ...rest } = decodeEpochBatch(bytes, 'the golden batch')
  return { ...rest, numbers: epochs.map(({ number }) => number) }
}

function runOf(bytes: Buffer): unknown {
  const identity = decodeRunHead(bytes)
  return { identity, entries: [...entriesOfRun(bytes)].map((entry) => ({ ...entry, id: Buffer.from(entry.id), packId: Buffer.from(entry.packId) })) }
}
