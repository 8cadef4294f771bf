/** Records that a store cannot read, and what replicas have of them. */
export interface HeldRecords {
  image: string
  /** What its histories are called on a replica: its own, then, of a fenced one, those that it went on from. */
  keys: string[]
  /** The last epoch that belongs to those others; -1 where there are none. */
  fencedAt: number
  /** Of the epochs that can be read, rising. */
  numbers: number[]
  /** Of those that cannot, or are pinned and gone. */
  lost: number[]
  /** One above the highest that this store knows of. */
  nextNumber: number
}

/** The first part of the record of an epoch, as a replica has it. */
export interface RecordCopy {
  /** What its image is called here. */
  image: string
  number: number
  record: Uint8Array
  /** The replica's URL. */
  from: string
  /** It lies in a history that nobody but this store goes on with. */
  isOwn: boolean
}
