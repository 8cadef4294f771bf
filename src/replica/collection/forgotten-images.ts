/**
 * Images that the store has no more and that are to go from a replica as a whole, because somebody says so by name.
 * Only those whose generation there is this store's and open, on the authority as well: what another store took over is
 * that store's. And only from a store that was never restored: what such a store made since may build on them.
 */
import { isCode } from '../../errors.ts'
import { newestGeneration } from '../feed/ownership.ts'
import { type ReplicaImage, readReplicaImage, shownName } from '../image-list.ts'
import type { LocalImage, Outbox } from '../outbox.ts'
import type { CallOptions, Replica } from '../replica.ts'
import type { OwnedImage } from './types.ts'

export interface ForgottenImage {
  readonly image: LocalImage
  readonly owned: OwnedImage
}

export interface ForgottenImages {
  /** By their keys. */
  readonly found: ReadonlyMap<string, ForgottenImage>
  /** Those that stay, as they were named, and why. */
  readonly refused: readonly { readonly image: string; readonly reason: string }[]
}

export interface ForgetParts {
  readonly replica: Replica
  readonly outbox: Outbox
  /** Null where the replica is the authority itself. */
  readonly authority: Replica | null
}

/** `wanted`: names or ids that they have there; `keys`: of all images there. Errors: those of every call. */
export async function forgottenImages(
  parts: ForgetParts, wanted: readonly string[], keys: readonly string[], call: CallOptions,
): Promise<ForgottenImages> {
  const found = new Map<string, ForgottenImage>()
  const refused: { image: string; reason: string }[] = []
  const others = wanted.length === 0 ? [] : await imagesNotHere(parts, keys, call)
  for (const name of new Set(wanted)) {
    const images = others.filter((image) => image.key === name || shownName(image) === name)
    const reason = await whyNot(parts, name, images, call)
    if (reason === null) found.set(images[0].key, { image: imageOf(images[0]), owned: goingAway(images[0]) })
    else refused.push({ image: name, reason })
  }
  return { found, refused }
}

/** That have records; what cannot be read is none of those that somebody could name. */
async function imagesNotHere(
  { replica, outbox }: ForgetParts, keys: readonly string[], call: CallOptions,
): Promise<ReplicaImage[]> {
  const here = new Set(outbox.images().map(({ key }) => key))
  const images: ReplicaImage[] = []
  for (const key of keys.filter((each) => !here.has(each))) {
    try {
      const image = await readReplicaImage(replica, key, call)
      if (image !== null && image.batches.length > 0) images.push(image)
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION')) throw error
    }
  }
  return images
}

async function whyNot(
  parts: ForgetParts, name: string, images: readonly ReplicaImage[], call: CallOptions,
): Promise<string | null> {
  const { replica, outbox, authority } = parts
  if (outbox.images().some(({ image, key }) => image === name || key === name)) return 'it is in this store'
  if (images.length === 0) return 'it is not there'
  if (images.length > 1) return `several have this name: name one by its id, ${images.map(({ key }) => key).join(', ')}`
  if (outbox.isRestored()) return 'this store was restored: what it made since may build on it'
  const [{ key, generation }] = images
  for (const each of authority === null ? [replica] : [authority, replica]) {
    const newest = await newestGeneration(each, key, call)
    const isOurs = newest?.number === generation && newest.isOpen && newest.owner.storeId.equals(outbox.storeId)
    if (!isOurs) return 'another store owns it'
  }
  return null
}

/** Nothing of it is published again. */
function goingAway({ generation }: ReplicaImage): OwnedImage {
  return { generation, publishAgain: () => Promise.resolve([]) }
}

function imageOf(image: ReplicaImage): LocalImage {
  const { key, imageId, owner: { origin, createdMs } } = image
  return { image: shownName(image), shown: shownName(image), imageId, key, origin, createdMs, after: -1 }
}
