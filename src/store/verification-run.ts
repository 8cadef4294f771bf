/** What a verification works with, and what that of one pack asks of the whole. */
import type { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import type { Damage, ExpectedRecord } from './damage.ts'
import type { RecordLookup } from './pack-index.ts'
import type { PackInfo } from './pack-set.ts'
import type { RecordReader } from './record-reader.ts'

export interface VerifyInput {
  readonly env: Env
  readonly packs: readonly PackInfo[]
  /** Paths of what has a pack's name and is none, and why. */
  readonly strangers: ReadonlyMap<string, string>
  readonly lookup: RecordLookup
  /** Its caches hold bases meanwhile. */
  readonly reader: RecordReader
  /** Told of each indexed record that is damaged. */
  readonly condemn: (id: Buffer, depth: number) => void
  /** Records that the index has in a pack, for packs that have no footer to tell it. */
  readonly indexedIn: (packNumber: number) => Promise<ExpectedRecord[]>
}

/** What the verification of one pack asks and tells. */
export interface VerificationRun {
  readonly input: VerifyInput
  readonly readData: boolean
  /** Whether all records are looked at. */
  readonly isWhole: boolean
  isSampled(id: Buffer): boolean
  sound(plainBytes: number, isIndexed: boolean): void
  damaged(damage: Damage): void
  /** Lets others work, every so many bytes. False when the time is over. Errors: ABORTED. */
  reached(bytesOfPack: number): Promise<boolean>
}
