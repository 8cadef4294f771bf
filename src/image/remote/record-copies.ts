/**
 * What a replica knows of a store's epochs: the records of those that cannot be read here, and which it lists that are
 * not here at all. Of these nothing here tells whether they were removed or lost: a number may have been given to an
 * epoch that a crash kept from being, and parents may go before their children.
 */
import type { Buffer } from 'node:buffer'
import { HoldfastError, isCode, messageOf } from '../../errors.ts'
import type { StoredEpoch } from '../../format/epoch.ts'
import { readDomain } from '../../replica/domain.ts'
import { outermost, readReplicaEpochs, readReplicaImage } from '../../replica/image-list.ts'
import type { RecordBatch, ReplicaImage } from '../../replica/image-list.ts'
import type { Replica } from '../../replica/replica.ts'
import type { HeldRecords, RecordCopy } from '../check/record-copy.ts'
import { identityOf } from './fetch-all.ts'
import { replicaProbeMs } from './limits.ts'

/** Epochs that this store has put on a replica, and does not have. */
export interface AbsentEpochs {
  readonly image: string
  /** The replica's URL. */
  readonly from: string
  readonly numbers: readonly number[]
}

export interface FoundCopies {
  readonly copies: RecordCopy[]
  readonly absent: AbsentEpochs[]
  /** What failed, as sentences for the user: other replicas may have more. */
  readonly notes: string[]
}

export interface CopySearch {
  readonly replica: Replica
  readonly storeId: Buffer
  readonly domainId: Buffer
  readonly signal?: AbortSignal
}

/** The replica is opened with the keys of the store. Errors: ABORTED. */
export async function findRecordCopies(search: CopySearch, all: readonly HeldRecords[]): Promise<FoundCopies> {
  const found: FoundCopies = { copies: [], absent: [], notes: [] }
  const isThere = await noting(search, found, () => requireOurs(search))
  for (const held of isThere ? all : []) {
    await noting(search, found, async () => {
      const [own, ...before] = held.keys
      await searchOwn(search, held, own, found)
      for (const key of before) await searchEarlier(search, held, key, found)
    })
  }
  return found
}

async function noting({ replica }: CopySearch, found: FoundCopies, step: () => Promise<void>): Promise<boolean> {
  try {
    await step()
    return true
  } catch (error) {
    if (!(error instanceof HoldfastError) || isCode(error, 'ABORTED')) throw error
    found.notes.push(`${replica.url} was not asked for records of epochs: ${messageOf(error)}`)
    return false
  }
}

async function requireOurs({ replica, domainId, signal }: CopySearch): Promise<void> {
  const domain = await readDomain(replica, { signal, timeoutMs: replicaProbeMs })
  if (domain === null) throw new HoldfastError('NOT_FOUND', 'there is no replica')
  if (!domain.domainId.equals(domainId)) throw new HoldfastError('WRONG_DOMAIN', 'it is not of this store')
}

/** The history that the image goes on with, unless another store has it by now. */
async function searchOwn(search: CopySearch, held: HeldRecords, key: string, found: FoundCopies): Promise<void> {
  const { replica, storeId, signal } = search
  const listed = await readReplicaImage(replica, key, { signal })
  if (listed === null) return
  const isOwn = listed.owner.storeId.equals(storeId)
  const lost = new Set(held.lost.filter((number) => number > held.fencedAt))
  const known = new Set([...held.numbers, ...held.lost])
  const isUnknown = (number: number): boolean => isOwn && number > held.fencedAt && !known.has(number)
  const absent: number[] = []
  for (const batch of outermost(listed.batches)) {
    const mayHoldMore = isOwn && countIn(known, batch) <= batch.last - batch.first
    if (countIn(lost, batch) === 0 && !mayHoldMore) continue
    for (const epoch of await readBatch(search, listed, batch)) {
      if (lost.has(epoch.number)) found.copies.push(copyOf(search, held, epoch, isOwn))
      else if (isUnknown(epoch.number)) absent.push(epoch.number)
    }
  }
  if (absent.length > 0) found.absent.push({ image: held.image, from: replica.url, numbers: absent })
}

/** A history that a fenced image has in common, up to its fence, with the writer that took it over. */
async function searchEarlier(search: CopySearch, held: HeldRecords, key: string, found: FoundCopies): Promise<void> {
  const lost = new Set(held.lost.filter((number) => number <= held.fencedAt))
  const listed = lost.size === 0 ? null : await readReplicaImage(search.replica, key, { signal: search.signal })
  for (const batch of listed === null ? [] : outermost(listed.batches)) {
    if (countIn(lost, batch) === 0) continue
    const epochs = await readBatch(search, listed!, batch)
    found.copies.push(...epochs.filter(({ number }) => lost.has(number)).map((epoch) => {
      return copyOf(search, held, epoch, false)
    }))
  }
}

async function readBatch(
  { replica, signal }: CopySearch, listed: ReplicaImage, batch: RecordBatch,
): Promise<StoredEpoch[]> {
  const epochs = await readReplicaEpochs(replica, { ...listed, batches: [batch] }, batch, { signal })
  return [...epochs.values()].sort((left, right) => left.number - right.number)
}

function copyOf({ replica }: CopySearch, { image }: HeldRecords, epoch: StoredEpoch, isOwn: boolean): RecordCopy {
  return { image, number: epoch.number, record: identityOf(epoch), from: replica.url, isOwn }
}

function countIn(numbers: ReadonlySet<number>, { first, last }: RecordBatch): number {
  let count = 0
  for (const number of numbers) if (number >= first && number <= last) count += 1
  return count
}
