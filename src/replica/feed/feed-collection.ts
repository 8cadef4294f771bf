/** A collection on a replica as the replica's feed carries it out: the feed owns what is collected, and goes on. */
import type { Env } from '../../env/env.ts'
import { HoldfastError } from '../../errors.ts'
import { type CollectCall, ReplicaCollection } from '../collection/collect-replica.ts'
import type { PackHomes } from '../collection/pack-homes.ts'
import { removeDeadRuns } from '../collection/dead-runs.ts'
import type { OwnedImage, ReplicaCollected, ReplicaCollectionRequest } from '../collection/types.ts'
import { intentsPrefixOf } from '../layout.ts'
import type { LocalImage, LocalPack, Outbox } from '../outbox.ts'
import type { ReplicaNote } from '../registry.ts'
import type { CallOptions, Replica } from '../replica.ts'
import type { ImageFeed } from './image-feed.ts'
import type { InheritedPacks } from './inherited-packs.ts'
import { newestGeneration } from './ownership.ts'
import type { RunFeed } from './run-feed.ts'

export interface FeedCollectionParts {
  readonly env: Env
  readonly replica: Replica
  readonly outbox: Outbox
  readonly homes: PackHomes
  readonly runs: RunFeed
  readonly inherited: InheritedPacks
  readonly local: readonly LocalPack[]
  readonly nameOf: (pack: LocalPack) => string
  readonly copied: (paths: readonly string[], call: CallOptions) => Promise<void>
  readonly feedOf: (image: LocalImage) => ImageFeed
  readonly authority: () => Replica | null
  /** The last epoch that is known to be there. */
  readonly known: (image: LocalImage) => number
}

/** Errors: as `ReplicaCollection.run`. */
export async function collectOn(
  parts: FeedCollectionParts, request: ReplicaCollectionRequest, call: CollectCall,
): Promise<ReplicaCollected> {
  const { env, replica, outbox, homes, runs, local, nameOf, copied, authority } = parts
  const isDry = request.dryRun !== null
  const collection = new ReplicaCollection({
    env, replica, outbox, homes, intentsPrefix: intentsPrefixOf(outbox.storeId), packs: local, nameOf, copied,
    authority,
    own: (image, options) => (isDry ? looked(parts, image, options) : owned(parts, image, options)),
    async tidyRuns(fates, options) {
      return await runs.mend(fates.there, options) + await removeDeadRuns(replica, outbox.storeId, fates, options)
    },
  }, request)
  return collection.run(call)
}

/** Of images that are not here nothing is known any more: should one come back, it is looked for again. */
export function notesOfImagesHere(note: ReplicaNote, outbox: Outbox): ReplicaNote['images'] {
  const here = new Set(outbox.images().map(({ key }) => key))
  return Object.fromEntries(Object.entries(note.images).filter(([key]) => here.has(key)))
}

async function owned(parts: FeedCollectionParts, image: LocalImage, call: CallOptions): Promise<OwnedImage | null> {
  if (await newestGeneration(parts.replica, image.key, call) === null) return null
  const feed = parts.feedOf(image)
  const generation = await feed.own(parts.known(image), call)
  return {
    generation,
    async publishAgain(groups, options) {
      return feed.publishAgain(groups, await parts.inherited.names(options), options)
    },
  }
}

/** Changes nothing. Errors: FENCED. */
async function looked(
  { replica, outbox }: FeedCollectionParts, image: LocalImage, call: CallOptions,
): Promise<OwnedImage | null> {
  const newest = await newestGeneration(replica, image.key, call)
  if (newest === null) return null
  if (!newest.isOpen || !newest.owner.storeId.equals(outbox.storeId)) {
    throw new HoldfastError('FENCED', `another store has ${image.key}`)
  }
  return { generation: newest.number, publishAgain: () => Promise.resolve([]) }
}
