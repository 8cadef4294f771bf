/** Batches of records and index runs: what lies on a replica besides packs. */
import test from 'ava'
import { Buffer } from 'node:buffer'
import { isCode } from '../../src/errors.ts'
import { decodeEpoch, encodeEpoch, epochIdentityOf } from '../../src/format/epoch.ts'
import { decodeEpochBatch, encodeEpochBatch } from '../../src/format/epoch-batch.ts'
import {
  type RunEntry, RunTable, compareEntries, decodeRunTrailer, encodeIndexRun, entriesOfRun, indexRunTrailerBytes,
} from '../../src/format/index-run.ts'
import { goldenEpoch } from '../golden/epoch-v1.ts'
import { Random } from '../random.ts'
import { checkMutants } from './mutants.ts'

const { domainId, keyId, imageId } = goldenEpoch
const packs = ['00'.repeat(16), `${'ab'.repeat(16)}.1.f`]

function records(numbers: readonly number[]): Buffer[] {
  return numbers.map((number) => epochIdentityOf(encodeEpoch({ ...goldenEpoch, number, nextNumber: number + 1 })))
}

test('a batch gives back its records, whatever the log of their store said', (t) => {
  const batch = { domainId, keyId, imageId, packs, records: records([3, 4, 9]) }
  const { epochs, records: found, packs: named } = decodeEpochBatch(encodeEpochBatch(batch), 'a batch')
  t.deepEqual(epochs.map(({ number }) => number), [3, 4, 9])
  t.deepEqual(found, batch.records)
  t.deepEqual(named, packs)
  t.is(epochs[0].note, goldenEpoch.note)
  t.like(epochs[0], { commit: 1, segment: 0, sequence: 1 })
  t.deepEqual(epochs[0].id, decodeEpoch(encodeEpoch({ ...goldenEpoch, number: 3, nextNumber: 4 }), 'x').id)
})

test('a batch refuses what does not belong into it', (t) => {
  const refused = (change: Partial<Parameters<typeof encodeEpochBatch>[0]>): void => {
    const batch = { domainId, keyId, imageId, packs, records: records([3, 4]), ...change }
    t.throws(() => decodeEpochBatch(encodeEpochBatch(batch), 'a batch'), { code: 'DAMAGED' })
  }
  refused({ records: records([4, 3]) })
  refused({ records: records([4, 4]) })
  refused({ imageId: Buffer.alloc(16, 9) })
  refused({ domainId: Buffer.alloc(16, 9) })
  refused({ records: [epochIdentityOf(encodeEpoch({ ...goldenEpoch, kind: 'head' }))] })
  const newer = encodeEpochBatch({ domainId, keyId, imageId, packs, records: records([1]) })
  newer.writeUInt16LE(2, 4)
  t.throws(() => decodeEpochBatch(newer, 'a batch'), { code: 'NEWER_VERSION' })
})

test('a batch that was changed is refused', (t) => {
  const random = Random.announced(t)
  const bytes = encodeEpochBatch({ domainId, keyId, imageId, packs, records: records([1, 2, 3]) })
  checkMutants(t, random, bytes, 2000, (mutant) => {
    return encodeEpochBatch({ domainId, keyId, imageId, ...decodeEpochBatch(mutant, 'x') })
  })
})

function entries(random: Random, count: number): RunEntry[] {
  const packs = [random.bytes(16), random.bytes(16), random.bytes(16)]
  const made = Array.from({ length: count }, (_, at) => ({
    id: random.bytes(32), packId: packs[random.below(3)],
    place: { offset: 80 + at * 100, recordBytes: 100, kind: 1, codec: 1, depth: 0 },
  }))
  // Some ids have records of several depths, some begin alike.
  const deeper = made.slice(0, count >> 3).map((entry) => ({ ...entry, place: { ...entry.place, codec: 2, depth: 2 } }))
  const alike = made.slice(0, count >> 3).map((entry) => ({ ...entry, id: Buffer.concat([entry.id.subarray(0, 8), random.bytes(24)]) }))
  return [...made, ...deeper, ...alike].sort(compareEntries)
}

test('a run gives back its entries, and finds each through its table', (t) => {
  for (const count of [1, 2, 200, 256, 257, 3000]) {
    const random = new Random(count)
    const all = entries(random, count)
    const bytes = encodeIndexRun({ domainId, keyId }, all)
    t.deepEqual([...entriesOfRun(bytes)], all)
    const shape = decodeRunTrailer(bytes.subarray(-indexRunTrailerBytes), bytes.length)
    const table = new RunTable(shape, bytes.subarray(shape.tableAt, bytes.length - indexRunTrailerBytes))
    const lookUp = (id: Buffer): RunEntry[] => table.blocksFor(id).flatMap((block) => {
      const { offset, bytes: length } = table.blockRange(block)
      return [...table.entriesOf(bytes.subarray(offset, offset + length))].filter((entry) => entry.id.equals(id))
    })
    for (const { id } of all) t.deepEqual(lookUp(id), all.filter((entry) => entry.id.equals(id)))
    t.deepEqual(lookUp(random.bytes(32)), [])
    t.deepEqual(lookUp(Buffer.alloc(32)), [])
    t.deepEqual(lookUp(Buffer.alloc(32, 0xff)), [])
  }
})

test('a run that was changed is refused', (t) => {
  const random = Random.announced(t)
  const bytes = encodeIndexRun({ domainId, keyId }, entries(random, 40))
  checkMutants(t, random, bytes, 3000, (mutant) => encodeIndexRun({ domainId, keyId }, [...entriesOfRun(mutant)]))
  t.true(isCode(t.throws(() => [...entriesOfRun(Buffer.alloc(10))]), 'BAD_FORMAT'))
})
