/**
 * Namespace effects: the payload of a log record of type `effects`. Not what was asked for but what it did
 * to the tree, so that replay cannot fail or differ; a rename is one record and so happens whole or not.
 * Effects without gaps, numbers little-endian:
 *
 *   inode          1, inode u64, length u16, inode record (inode.ts; its data root is not meant)
 *   inode removed  2, inode u64
 *   name           3, parent u64, inode u64, kind u8, length u8, name
 *   name removed   4, parent u64, length u8, name
 *   attributes     5, inode u64, length u32, attribute block (xattrs; empty: none)
 */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { nameBytesMax, xattrTotalBytesMax } from '../limits.ts'

export type Effect =
  | { kind: 'inode'; inode: number; record: Buffer }
  | { kind: 'inodeRemoved'; inode: number }
  | { kind: 'name'; parent: number; name: Buffer; inode: number; type: number }
  | { kind: 'nameRemoved'; parent: number; name: Buffer }
  | { kind: 'attributes'; inode: number; block: Buffer }

const tags = { inode: 1, inodeRemoved: 2, name: 3, nameRemoved: 4, attributes: 5 } as const

export function encodeEffects(effects: readonly Effect[]): Buffer {
  return Buffer.concat(effects.map(encodeEffect))
}

/** Errors: DAMAGED when the bytes are not whole effects. */
export function decodeEffects(bytes: Buffer): Effect[] {
  const effects: Effect[] = []
  const cursor = { bytes, at: 0 }
  while (cursor.at < bytes.length) effects.push(decodeEffect(cursor))
  return effects
}

function encodeEffect(effect: Effect): Buffer {
  switch (effect.kind) {
    case 'inode': {
      const head = Buffer.alloc(11)
      head.writeUInt8(tags.inode, 0)
      head.writeBigUInt64LE(BigInt(effect.inode), 1)
      head.writeUInt16LE(effect.record.length, 9)
      return Buffer.concat([head, effect.record])
    }
    case 'inodeRemoved': {
      const head = Buffer.alloc(9)
      head.writeUInt8(tags.inodeRemoved, 0)
      head.writeBigUInt64LE(BigInt(effect.inode), 1)
      return head
    }
    case 'name': {
      const head = Buffer.alloc(19)
      head.writeUInt8(tags.name, 0)
      head.writeBigUInt64LE(BigInt(effect.parent), 1)
      head.writeBigUInt64LE(BigInt(effect.inode), 9)
      head.writeUInt8(effect.type, 17)
      head.writeUInt8(effect.name.length, 18)
      return Buffer.concat([head, effect.name])
    }
    case 'nameRemoved': {
      const head = Buffer.alloc(10)
      head.writeUInt8(tags.nameRemoved, 0)
      head.writeBigUInt64LE(BigInt(effect.parent), 1)
      head.writeUInt8(effect.name.length, 9)
      return Buffer.concat([head, effect.name])
    }
    case 'attributes': {
      const head = Buffer.alloc(13)
      head.writeUInt8(tags.attributes, 0)
      head.writeBigUInt64LE(BigInt(effect.inode), 1)
      head.writeUInt32LE(effect.block.length, 9)
      return Buffer.concat([head, effect.block])
    }
  }
}

interface Cursor {
  bytes: Buffer
  at: number
}

function decodeEffect(cursor: Cursor): Effect {
  const tag = takeByte(cursor)
  const inode = takeInode(cursor)
  switch (tag) {
    case tags.inode:
      return { kind: 'inode', inode, record: take(cursor, cursor.bytes.readUInt16LE(pass(cursor, 2))) }
    case tags.inodeRemoved:
      return { kind: 'inodeRemoved', inode }
    case tags.name: {
      const target = takeInode(cursor)
      const type = takeByte(cursor)
      return { kind: 'name', parent: inode, inode: target, type, name: takeName(cursor) }
    }
    case tags.nameRemoved:
      return { kind: 'nameRemoved', parent: inode, name: takeName(cursor) }
    case tags.attributes: {
      const length = cursor.bytes.readUInt32LE(pass(cursor, 4))
      if (length > xattrTotalBytesMax) throw damaged()
      return { kind: 'attributes', inode, block: take(cursor, length) }
    }
    default:
      throw damaged()
  }
}

function takeName(cursor: Cursor): Buffer {
  const length = takeByte(cursor)
  if (length === 0 || length > nameBytesMax) throw damaged()
  return take(cursor, length)
}

function takeInode(cursor: Cursor): number {
  const at = pass(cursor, 8)
  const inode = cursor.bytes.readUInt32LE(at) + cursor.bytes.readUInt32LE(at + 4) * 2 ** 32
  if (!Number.isSafeInteger(inode)) throw damaged()
  return inode
}

function takeByte(cursor: Cursor): number {
  return cursor.bytes[pass(cursor, 1)]
}

function take(cursor: Cursor, count: number): Buffer {
  const at = pass(cursor, count)
  return cursor.bytes.subarray(at, at + count)
}

/** Where the bytes begin that are passed: a view of each number would cost more than all the rest of a replay. */
function pass(cursor: Cursor, count: number): number {
  const at = cursor.at
  if (at + count > cursor.bytes.length) throw damaged()
  cursor.at = at + count
  return at
}

function damaged(): HoldfastError {
  return new HoldfastError('DAMAGED', 'a namespace record of the log is damaged')
}
