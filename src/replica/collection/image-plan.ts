/** What becomes of the records of one image on a replica: pure. */
import type { Buffer } from 'node:buffer'
import { batchedBytes, emptyBatchBytes } from '../../format/epoch-batch.ts'
import type { StoredEpoch } from '../../format/epoch.ts'
import { epochBatchBytesMax, epochBatchPacksBytesMax, epochBatchRecordsMax } from '../../limits.ts'
import type { BatchName } from '../layout.ts'

/** A batch as it lies there. */
export interface OldBatch {
  readonly path: string
  readonly name: BatchName
  readonly packs: readonly string[]
  readonly epochs: readonly StoredEpoch[]
  readonly records: readonly Buffer[]
}

/** A record with the packs that its readers may need. */
export interface KeptRecord {
  readonly number: number
  readonly record: Buffer
  readonly packs: readonly string[]
}

/** Records that become one batch. */
export interface RecordGroup {
  readonly numbers: readonly number[]
  readonly records: readonly Buffer[]
  readonly packs: readonly string[]
}

export interface PackChange {
  /** Of this store, and not in it any more. */
  readonly left: ReadonlySet<string>
  /** Those that have what is needed of them. */
  readonly instead: readonly string[]
  /** Whether all that this record needs of this store is in packs that are here. */
  readonly isHere: (number: number, record: Buffer) => boolean
}

export interface ImagePlan {
  readonly kept: readonly KeptRecord[]
  readonly going: readonly number[]
  /** There is something to be gained: records go, or fewer packs are named. */
  readonly isWorthwhile: boolean
}

/** All numbers that the batches hold, rising, each with its record and the fewest packs that any batch names for it. */
export function recordsOf(batches: readonly OldBatch[]): { epoch: StoredEpoch; kept: KeptRecord }[] {
  const found = new Map<number, { epoch: StoredEpoch; kept: KeptRecord }>()
  for (const { epochs, records, packs } of batches) {
    for (const [at, epoch] of epochs.entries()) {
      const known = found.get(epoch.number)
      if (known !== undefined && known.kept.packs.length <= packs.length) continue
      found.set(epoch.number, { epoch, kept: { number: epoch.number, record: records[at], packs } })
    }
  }
  return [...found.values()].sort((left, right) => left.kept.number - right.kept.number)
}

export function planImage(
  records: readonly KeptRecord[], staying: ReadonlySet<number>, change: PackChange,
): ImagePlan {
  const kept = records.filter(({ number }) => staying.has(number)).map((record) => narrowed(record, change))
  const going = records.filter(({ number }) => !staying.has(number)).map(({ number }) => number)
  const before = new Map(records.map(({ number, packs }) => [number, packs]))
  const isNarrowed = kept.some(({ number, packs }) => before.get(number) !== packs)
  return { kept, going, isWorthwhile: going.length > 0 || isNarrowed }
}

/** All of it goes, or nothing. */
export function planForgotten(records: readonly KeptRecord[], isNeeded: boolean): ImagePlan {
  if (isNeeded) return { kept: records, going: [], isWorthwhile: false }
  return { kept: [], going: records.map(({ number }) => number), isWorthwhile: true }
}

/** What a pack held that has left the store is in those that are there now. */
function narrowed(record: KeptRecord, { left, instead, isHere }: PackChange): KeptRecord {
  const { number, packs } = record
  if (!packs.some((pack) => left.has(pack)) || !isHere(number, record.record)) return record
  return { ...record, packs: [...new Set([...packs.filter((pack) => !left.has(pack)), ...instead])] }
}

/** By rising number, as many in each as a batch can hold: so none of them lies within another. */
export function groupsOf(kept: readonly KeptRecord[]): RecordGroup[] {
  const groups: KeptRecord[][] = []
  let bytes = 0
  for (const each of kept) {
    const added = batchedBytes(each.record.length)
    const last = groups.at(-1)
    const fits = last !== undefined && last.length < epochBatchRecordsMax &&
      bytes + added <= epochBatchBytesMax - epochBatchPacksBytesMax
    if (fits) last.push(each)
    else groups.push([each])
    bytes = fits ? bytes + added : emptyBatchBytes + added
  }
  return groups.map((group) => ({
    numbers: group.map(({ number }) => number), records: group.map(({ record }) => record),
    packs: [...new Set(group.flatMap(({ packs }) => packs))],
  }))
}
