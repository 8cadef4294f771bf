/** What the next record of an image descends from: an epoch, never a head. */
import type { EpochRecord, StoredEpoch } from '../format/epoch.ts'
import type { ImageIdentity } from './image-files.ts'

/** `before` is the image's own. */
export function parentOf(before: StoredEpoch, { id: imageId, image }: ImageIdentity): EpochRecord['parent'] {
  if (before.kind === 'head') return before.parent
  return { id: before.id, imageId, image, number: before.number }
}
