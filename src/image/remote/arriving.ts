/** An epoch on its way here from a replica, as those see it who make use of it meanwhile. */
import type { PrefetchList } from '../../format/prefetch-list.ts'
import { type FileChunks, parseWorkingSet } from '../machine-state.ts'
import type { EpochSummary } from '../types.ts'
import type { ListedRecords } from './listed-records.ts'
import type { RecordParcel } from './messages.ts'

/** What an epoch's list names as needed first. */
export interface FirstRecords {
  /** In the order in which they come; null for what did not. */
  readonly parcels: readonly Promise<RecordParcel | null>[]
  readonly workingSet: readonly FileChunks[]
}

/** The epoch that was found, before this store owns its image. */
export interface Arriving {
  /** What it will be here. */
  readonly image: string
  readonly number: number
  readonly isFork: boolean
  /** Hex. */
  readonly manifest: string
  readonly facts: unknown
  /** What its list names as needed first; empty without a list. Rejects nobody, nor do its parts. */
  readonly first: Promise<FirstRecords>
  /** What is here in the end, which is a later epoch where the owner before made one meanwhile. */
  readonly installed: Promise<EpochSummary>
}

export async function firstRecords({ list, windows }: ListedRecords): Promise<FirstRecords> {
  const parcels = (await windows).map((window) => window.then(({ parcel }) => parcel, () => null))
  return { parcels, workingSet: workingSetOf(await list) ?? [] }
}

export function workingSetOf(list: PrefetchList | null): FileChunks[] | null {
  return list === null ? null : parseWorkingSet(list.workingSet)
}
