/** Records from one replica: found by its index runs or where a prefetch list says, and read with few large reads. */
import type { Buffer } from 'node:buffer'
import { isCode } from '../errors.ts'
import type { RunEntry } from '../format/index-run.ts'
import { recordBytesMax } from '../format/pack-record.ts'
import { IndexReader } from './index-reader.ts'
import { readGapBytesMax, readRunBytesMax } from './limits.ts'
import { PackReader } from './pack-reader.ts'
import type { CallOptions, Replica } from './replica.ts'

export interface WantedRecord {
  readonly id: Buffer
  /** Only records so shallow are of use: those that a record may build on. */
  readonly depthMax: number
}

/** The bytes where a record is said to lie: whoever reads them proves what they are. */
export interface ClaimedRecord {
  readonly entry: RunEntry
  readonly bytes: Buffer
}

export interface RecordAnswers {
  readonly records: ClaimedRecord[]
  /** Packs that are not there, by their ids in hex: they were collected since, or are not there yet. */
  readonly absentPacks: Set<string>
  /** Errors of reads that failed, while others went on. */
  readonly failures: unknown[]
}

export class ReplicaRecordReader {
  readonly #packs: PackReader
  readonly #index: IndexReader

  constructor(replica: Replica, onDamage: (message: string) => void) {
    this.#packs = new PackReader(replica)
    this.#index = new IndexReader(replica, onDamage)
  }

  /** Whether what `find` did not find is certainly not there. */
  get isIndexComplete(): boolean {
    return this.#index.isComplete
  }

  /**
   * The shallowest record of each id that is shallow enough, and in none of the packs that `avoided` names by their ids
   * in hex: where there are any, the runs are listed anew. Errors: those of every call.
   */
  async find(
    wanted: readonly WantedRecord[], options?: CallOptions, avoided: ReadonlySet<string> = new Set(),
  ): Promise<RunEntry[]> {
    if (avoided.size > 0) await this.#index.refresh(options)
    const found = await this.#index.find(wanted.map(({ id }) => id), options)
    return wanted.flatMap(({ id, depthMax }) => {
      const entries = found.get(id.toString('hex')) ?? []
      const fit = entries.filter(({ place, packId }) => place.depth <= depthMax &&
        place.recordBytes <= recordBytesMax && !avoided.has(packId.toString('hex')))
      return fit.sort((left, right) => left.place.depth - right.place.depth).slice(0, 1)
    })
  }

  /**
   * As `read`; but where a pack is gone its records may lie in others: a collection leaves entries behind that lead
   * nowhere. `entries` are of the records that are `wanted`.
   */
  async readSomewhere(
    wanted: readonly WantedRecord[], entries: readonly RunEntry[], options?: CallOptions,
    onBytes?: (bytes: number) => void,
  ): Promise<RecordAnswers> {
    const all: RecordAnswers = { records: [], failures: [], absentPacks: new Set() }
    for (let left = entries; left.length > 0;) {
      const before = all.absentPacks.size
      const { records, failures, absentPacks } = await this.read(left, options, onBytes)
      all.records.push(...records)
      all.failures.push(...failures)
      for (const pack of absentPacks) all.absentPacks.add(pack)
      if (all.absentPacks.size === before) break
      const given = new Set(all.records.map(({ entry }) => entry.id.toString('hex')))
      left = await this.find(wanted.filter(({ id }) => !given.has(id.toString('hex'))), options, all.absentPacks)
    }
    return all
  }

  /**
   * What can be read of them. `onBytes` is told of bytes as they come, gaps between records included: those of up to
   * `gapBytesMax` are read along.
   */
  async read(
    entries: readonly RunEntry[], options?: CallOptions, onBytes?: (bytes: number) => void,
    gapBytesMax = readGapBytesMax,
  ): Promise<RecordAnswers> {
    const records: ClaimedRecord[] = []
    const failures: unknown[] = []
    const absentPacks = new Set<string>()
    // What takes longest begins first.
    const runs = readRuns(entries, gapBytesMax).sort((left, right) => spanBytes(right) - spanBytes(left))
    await Promise.all(runs.map(async (run) => {
      const { packId, place: { offset } } = run[0]
      try {
        const bytes = await this.#packs.read(packId, offset, spanBytes(run), options)
        onBytes?.(bytes.length)
        for (const entry of run) {
          const start = entry.place.offset - offset
          records.push({ entry, bytes: bytes.subarray(start, start + entry.place.recordBytes) })
        }
      } catch (error) {
        if (isCode(error, 'ABORTED')) throw error
        failures.push(error)
        if (isCode(error, 'NOT_FOUND')) absentPacks.add(packId.toString('hex'))
      }
    }))
    return { records, failures, absentPacks }
  }
}

/** Neighbours of one pack together, in their order, within the limits on gaps and lengths. */
export function readRuns(entries: readonly RunEntry[], gapBytesMax = readGapBytesMax): RunEntry[][] {
  const sorted = [...entries].sort((left, right) => {
    return left.packId.compare(right.packId) || left.place.offset - right.place.offset
  })
  const runs: RunEntry[][] = []
  for (const entry of sorted) {
    const run = runs.at(-1)
    if (run !== undefined && fits(run, entry, gapBytesMax)) run.push(entry)
    else runs.push([entry])
  }
  return runs
}

/** From the beginning of the first to the end of the last. */
function spanBytes(run: readonly RunEntry[]): number {
  const { offset, recordBytes } = run[run.length - 1].place
  return offset + recordBytes - run[0].place.offset
}

function fits(run: readonly RunEntry[], next: RunEntry, gapBytesMax: number): boolean {
  const [first, last] = [run[0], run[run.length - 1]]
  if (!first.packId.equals(next.packId)) return false
  const gap = next.place.offset - last.place.offset - last.place.recordBytes
  const bytes = next.place.offset + next.place.recordBytes - first.place.offset
  return gap >= 0 && gap <= gapBytesMax && bytes <= readRunBytesMax
}
