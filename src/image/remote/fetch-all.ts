/** Many chunks, or records of many epochs, of a replica: in windows, so that memory stays bounded. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import { encodeEpoch, epochIdentityOf } from '../../format/epoch.ts'
import type { StoredEpoch } from '../../format/epoch.ts'
import { digestBytes } from '../../limits.ts'
import { outermost, readReplicaEpochs, readReplicaImage } from '../../replica/image-list.ts'
import type { Replica } from '../../replica/replica.ts'
import type { Engine } from '../engine.ts'
import type { CallOptions } from '../types.ts'
import { windowChunks, windowsMax } from './limits.ts'
import type { RemoteRecords } from './remote-records.ts'

export interface FetchAllOptions extends CallOptions {
  /** Windows under way at once. */
  readonly lanes?: number
}

/** Fetches chunks into the store, in windows. Returns the bytes read. Errors: as `RecordSource.fetch`; ABORTED. */
export async function fetchAll(
  remote: RemoteRecords, ids: readonly Buffer[], options: FetchAllOptions,
): Promise<number> {
  let [next, done, readBytes] = [0, 0, 0]
  const lane = async (): Promise<void> => {
    while (next < ids.length) {
      if (options.signal?.aborted === true) throw new HoldfastError('ABORTED', 'stopped on request')
      const window = ids.slice(next, next + windowChunks)
      next += window.length
      readBytes += (await remote.fetch(window)).readBytes
      await remote.kept()
      done += window.length
      options.progress?.({ step: 'fetching', done, total: ids.length, unit: 'chunks' })
    }
  }
  await Promise.all(Array.from({ length: options.lanes ?? windowsMax }, lane))
  return readBytes
}

/** Everything of an epoch that is not here yet. Errors: as fetchAll. */
export async function fetchRest(
  { engine, remote }: { engine: Engine; remote: RemoteRecords }, epoch: string, options: FetchAllOptions,
): Promise<number> {
  // What was fetched ahead is here, although the store does not know.
  await remote.kept()
  const { ids } = await engine.absentChunks({ epoch }, options)
  const all = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)
  const absent = Array.from({ length: all.length / digestBytes }, (_, at) => {
    return all.subarray(at * digestBytes, (at + 1) * digestBytes)
  })
  return fetchAll(remote, absent, options)
}

/** Records of all epochs of a restored image that are not here yet. */
export async function addOlderEpochs(
  { engine, replica }: { engine: Engine; replica: Replica }, name: string, key: string, options: CallOptions,
): Promise<number> {
  const image = await readReplicaImage(replica, key, options)
  let added = 0
  for (const batch of image === null ? [] : outermost(image.batches)) {
    const epochs = await readReplicaEpochs(replica, { ...image!, batches: [batch] }, batch, options)
    const records = [...epochs.values()].sort((left, right) => left.number - right.number).map(identityOf)
    added += (await engine.addEpochs({ image: name, records })).added
  }
  return added
}

/** The first part of its record. */
export function identityOf(epoch: StoredEpoch): Uint8Array {
  return Uint8Array.from(epochIdentityOf(encodeEpoch(epoch)))
}
