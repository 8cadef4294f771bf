/** Lists what a replica has epochs of, for somebody who has nothing but its URL: no store is needed. */
import { systemEnv } from '../env/system.ts'
import { replicaKeys } from '../image/remote/join.ts'
import type { CallOptions } from '../image/types.ts'
import { listReplicaImages, outermost, shownName } from '../replica/image-list.ts'
import { openReplica } from '../replica/open.ts'
import { unsealedReplica } from '../replica/sealed-replica.ts'
import type { GivenSecret } from '../store/keys.ts'

export interface ReplicaImageSummary {
  image: string
  /** What it is called on the replica. */
  id: string
  epochs: number
  newest: number
  /** The store that may publish, and since which generation. */
  owner: string
  generation: number
  /** By the replica's clock: when it was last published to. */
  changedMs: number
  /** Why nothing more is known of it; absent when all is well. */
  damaged?: string
}

/**
 * `given` opens an encrypted one. Errors: NOT_FOUND (no replica there), USAGE (no URL), KEY_NEEDED, KEY_WRONG, those of
 * a replica.
 */
export async function replicaImages(
  url: string, { signal }: CallOptions, given: GivenSecret = {},
): Promise<ReplicaImageSummary[]> {
  const env = systemEnv()
  await using sealed = openReplica(env, url)
  const replica = unsealedReplica(env, sealed, await replicaKeys(env, sealed, given, { signal }))
  const { images, damaged } = await listReplicaImages(replica, { signal })
  const sound = images.filter(({ batches }) => batches.length > 0).map((image): ReplicaImageSummary => {
    const batches = outermost(image.batches)
    return {
      image: shownName(image), id: image.key, generation: image.generation, changedMs: image.changedMs,
      epochs: batches.reduce((sum, { count }) => sum + count, 0),
      newest: Math.max(...batches.map(({ last }) => last)),
      owner: image.owner.storeId.toString('hex'),
    }
  })
  const others = damaged.map(({ key, message }): ReplicaImageSummary => {
    return { image: '', id: key, epochs: 0, newest: -1, owner: '', generation: 0, changedMs: 0, damaged: message }
  })
  return [...sound, ...others]
}
