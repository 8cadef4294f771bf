/** The identity of an image from its records alone: they name the image's id, and epoch 0 where it came from. */
import type { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import type { StoredEpoch } from '../../format/epoch.ts'
import type { ImageFiles, ImageIdentity } from '../image-files.ts'

/** Null where no record can be read, or they do not agree. */
export function rebuildIdentity(files: ImageFiles): ImageIdentity | null {
  const records = readableRecords(files)
  const [first] = records
  if (first === undefined || records.some(({ imageId }) => !imageId.equals(first.imageId))) return null
  return { image: files.image, id: first.imageId, origin: originOf(first), createdMs: first.wallMs }
}

/** Which image it is: as its identity says, or else its records do. Null where neither does. */
export function imageIdOf(files: ImageFiles): Buffer | null {
  try {
    return files.identity().id
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return rebuildIdentity(files)?.id ?? null
  }
}

/** Of the epochs, and of the head. */
export function readableRecords(files: ImageFiles): StoredEpoch[] {
  const readers = [...files.epochNumbers().map((number) => () => files.epoch(number)), () => files.head()]
  return readers.flatMap((read) => {
    try {
      return [read()]
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      return []
    }
  })
}

/** An epoch that is not the first tells nothing of the origin, unless its parent is of another image. */
function originOf({ number, parent, imageId }: StoredEpoch): ImageIdentity['origin'] {
  const isFork = number === 0 && parent !== null && !parent.imageId.equals(imageId)
  return isFork ? { kind: 'fork', epoch: `${parent.image}@${parent.number}` } : { kind: 'base' }
}
