/**
 * Who opened a generation: the object `owner` in it. JSON:
 *
 *   holdfast "owner", version 1
 *   self      hex 32: a run of one store's replicator, never used again; whose the generation is
 *   storeId   hex 32: for people, and to know one's own after the local note of `self` was lost
 *   imageId   hex 32
 *   image     its name when the generation was opened
 *   origin    of the image, as in its image.json; with createdMs
 *   last      the highest epoch that the generation before has left, -1 for none
 *   openedMs  by the owner's clock, for people
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { imageNameBytesMax } from '../limits.ts'
import { jsonText } from './json-text.ts'

export interface ImageOrigin {
  readonly kind: 'base' | 'empty' | 'fork'
  /** Of a fork: IMAGE@N. */
  readonly epoch?: string
}

export interface OwnerRecord {
  readonly self: string
  readonly storeId: Buffer
  readonly imageId: Buffer
  readonly image: string
  readonly origin: ImageOrigin
  readonly createdMs: number
  readonly last: number
  readonly openedMs: number
}

const ownerVersion = 1
export const ownerRecordBytesMax = 16 * 1024
const originKinds = ['base', 'empty', 'fork'] as const

export function encodeOwner(owner: OwnerRecord): Buffer {
  return Buffer.from(`${JSON.stringify({
    holdfast: 'owner', version: ownerVersion, ...owner,
    storeId: owner.storeId.toString('hex'), imageId: owner.imageId.toString('hex'),
  })}\n`)
}

/** Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function decodeOwner(bytes: Buffer, where: string): OwnerRecord {
  const text = jsonText(bytes, { kind: 'owner', versionMax: ownerVersion, where })
  const image = text.text('image')
  const last = text.value('last')
  if (Buffer.byteLength(image) > 2 * imageNameBytesMax || !isLast(last)) {
    throw new HoldfastError('DAMAGED', `${where} names no proper image or epoch`)
  }
  return {
    self: text.hex('self', 16).toString('hex'), storeId: text.hex('storeId', 16), imageId: text.hex('imageId', 16),
    image, origin: originOf(text.value('origin'), where), createdMs: text.count('createdMs'), last,
    openedMs: text.count('openedMs'),
  }
}

function isLast(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= -1
}

function originOf(value: unknown, where: string): ImageOrigin {
  const fields = typeof value === 'object' && value !== null ? { ...value } as Record<string, unknown> : {}
  const kind = originKinds.find((each) => each === fields.kind)
  const { epoch } = fields
  if (kind === undefined || (epoch !== undefined && typeof epoch !== 'string')) {
    throw new HoldfastError('DAMAGED', `${where} has no proper origin`)
  }
  return epoch === undefined ? { kind } : { kind, epoch }
}
