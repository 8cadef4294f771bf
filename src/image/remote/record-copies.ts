/** Records of epochs that a store cannot read, as a replica has them. */
import type { Buffer } from 'node:buffer'
import { HoldfastError, isCode, messageOf } from '../../errors.ts'
import { readDomain } from '../../replica/domain.ts'
import { outermost, readReplicaEpochs, readReplicaImage } from '../../replica/image-list.ts'
import type { Replica } from '../../replica/replica.ts'
import type { HeldRecords, RecordCopy } from '../check/record-copy.ts'
import { identityOf } from './fetch-all.ts'
import { replicaProbeMs } from './limits.ts'

/** What a search found, and what failed in it, as sentences for the user: other replicas may have more. */
export interface FoundCopies {
  readonly copies: RecordCopy[]
  readonly notes: string[]
}

/** `replica` is opened with the keys of the store. Errors: ABORTED. */
export async function findRecordCopies(
  replica: Replica, store: { storeId: Buffer; domainId: Buffer }, all: readonly HeldRecords[], signal?: AbortSignal,
): Promise<FoundCopies> {
  const found: FoundCopies = { copies: [], notes: [] }
  const isThere = await noting(found, replica, () => requireOurs(replica, store.domainId, signal))
  for (const held of isThere ? all : []) {
    await noting(found, replica, async () => {
      const [own, ...before] = held.keys
      const after = held.lost.filter((number) => number > held.fencedAt)
      const earlier = held.lost.filter((number) => number <= held.fencedAt)
      found.copies.push(...await copiesIn(replica, own, held.image, after, store.storeId, signal))
      for (const key of before) found.copies.push(...await copiesIn(replica, key, held.image, earlier, null, signal))
    })
  }
  return found
}

async function noting(found: FoundCopies, { url }: Replica, step: () => Promise<void>): Promise<boolean> {
  try {
    await step()
    return true
  } catch (error) {
    if (!(error instanceof HoldfastError) || isCode(error, 'ABORTED')) throw error
    found.notes.push(`${url} was not asked for records of epochs: ${messageOf(error)}`)
    return false
  }
}

async function requireOurs(replica: Replica, domainId: Buffer, signal?: AbortSignal): Promise<void> {
  const domain = await readDomain(replica, { signal, timeoutMs: replicaProbeMs })
  if (domain === null) throw new HoldfastError('NOT_FOUND', 'there is no replica')
  if (!domain.domainId.equals(domainId)) throw new HoldfastError('WRONG_DOMAIN', 'it is not of this store')
}

/** `storeId` is null for a history that others go on with. */
async function copiesIn(
  replica: Replica, key: string, image: string, lost: readonly number[], storeId: Buffer | null, signal?: AbortSignal,
): Promise<RecordCopy[]> {
  const found = lost.length === 0 ? null : await readReplicaImage(replica, key, { signal })
  if (found === null) return []
  const isOwn = storeId !== null && found.owner.storeId.equals(storeId)
  const copies: RecordCopy[] = []
  for (const batch of outermost(found.batches)) {
    const wanted = lost.filter((number) => number >= batch.first && number <= batch.last)
    if (wanted.length === 0) continue
    const epochs = await readReplicaEpochs(replica, { ...found, batches: [batch] }, batch, { signal })
    copies.push(...wanted.flatMap((number) => {
      const epoch = epochs.get(number)
      return epoch === undefined ? [] : [{ image, number, record: identityOf(epoch), from: replica.url, isOwn }]
    }))
  }
  return copies
}
