/** `keys.json` as bytes; what stands in it is said in key-slots.ts. It may come from elsewhere: nothing is trusted. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { identityBytes, keysFileBytesMax, keySlotsMax } from '../limits.ts'
import { keyBytes, tagBytes } from './aead.ts'
import type { SlotKind } from './secret.ts'

export interface KeySlot {
  readonly id: number
  readonly kind: SlotKind
  readonly salt: Buffer
  readonly costLog2: number
  readonly wrapped: Buffer
  readonly createdMs: number
}

export interface KeysFile {
  readonly domainId: Buffer
  /** One more with each change, so that of two copies of a store's file the newer is known. */
  readonly revision: number
  readonly slots: readonly KeySlot[]
  readonly ring: { readonly salt: Buffer; readonly sealed: Buffer }
}

const magic = 'holdfast keys'
const keysVersion = 1
const saltBytes = 32
const slotIdMax = 2 ** 31
/** A file from elsewhere cannot make us spend more than 1 GiB and some seconds. */
const costLog2Max = 20

export function encodeKeysFile({ domainId, revision, slots, ring }: KeysFile): Buffer {
  const fields = {
    magic, version: keysVersion, domainId: domainId.toString('hex'),
    revision: revision === 1 ? undefined : revision,
    slots: slots.map(({ id, kind, salt, costLog2, wrapped, createdMs }) => {
      return { id, kind, salt: salt.toString('hex'), costLog2, wrapped: wrapped.toString('hex'), createdMs }
    }),
    ring: { salt: ring.salt.toString('hex'), sealed: ring.sealed.toString('hex') },
  }
  return Buffer.from(`${JSON.stringify(fields, null, 2)}\n`)
}

/** Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function decodeKeysFile(bytes: Uint8Array): KeysFile {
  const file = fieldsOf(parse(bytes))
  if (file.magic !== magic) throw new HoldfastError('BAD_FORMAT', 'keys.json does not hold the keys of a domain')
  if (typeof file.version !== 'number' || file.version < 1) throw damaged('version')
  if (file.version > keysVersion) {
    throw new HoldfastError('NEWER_VERSION', `keys.json has version ${file.version}: update Holdfast`)
  }
  const { slots } = file
  if (!Array.isArray(slots) || slots.length === 0 || slots.length > keySlotsMax) throw damaged('slots')
  const ring = fieldsOf(file.ring)
  return {
    domainId: hex(file.domainId, 'domainId', identityBytes),
    revision: whole(file.revision ?? 1, 'revision', Number.MAX_SAFE_INTEGER),
    slots: slots.map(decodeSlot),
    ring: { salt: hex(ring.salt, 'ring', saltBytes), sealed: hex(ring.sealed, 'ring') },
  }
}

function decodeSlot(value: unknown): KeySlot {
  const { id, kind, salt, costLog2, wrapped, createdMs } = fieldsOf(value)
  if (kind !== 'passphrase' && kind !== 'keyFile') throw damaged('kind')
  // There is no scrypt with less.
  if (kind === 'passphrase' && costLog2 === 0) throw damaged('costLog2')
  return {
    id: whole(id, 'id', slotIdMax), kind, salt: hex(salt, 'salt', saltBytes),
    costLog2: whole(costLog2, 'costLog2', costLog2Max), wrapped: hex(wrapped, 'wrapped', keyBytes + tagBytes),
    createdMs: whole(createdMs, 'createdMs', Number.MAX_SAFE_INTEGER),
  }
}

function parse(bytes: Uint8Array): unknown {
  if (bytes.length > keysFileBytesMax) throw damaged('end')
  try {
    return JSON.parse(Buffer.from(bytes).toString())
  } catch (error) {
    throw new HoldfastError('DAMAGED', 'keys.json is not readable: put a copy of it back', { cause: error })
  }
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw damaged('object')
}

function whole(value: unknown, field: string, most: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most) return value
  throw damaged(field)
}

function hex(value: unknown, field: string, bytes?: number): Buffer {
  const isHex = typeof value === 'string' && value.length % 2 === 0 && /^[0-9a-f]+$/.test(value)
  if (!isHex || (bytes !== undefined && value.length !== 2 * bytes) || value.length < 2 * tagBytes) throw damaged(field)
  return Buffer.from(value, 'hex')
}

function damaged(field: string): HoldfastError {
  return new HoldfastError('DAMAGED', `keys.json has no proper ${field}: put a copy of it back`)
}
