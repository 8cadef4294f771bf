/** Attributes of inodes of the head: mode, owner, times, and extended attributes. */
import { Buffer } from 'node:buffer'
import { constants } from 'node:os'
import { decodeAttributes, encodeAttributes } from '../format/inode.ts'
import { nameBytesMax, xattrTotalBytesMax, xattrValueBytesMax } from '../limits.ts'
import type { Head } from './head.ts'
import type { InodeState } from './inode-state.ts'
import { typeOf } from './modes.ts'
import { Transaction } from './transaction.ts'

const { E2BIG, EEXIST, ENODATA, ENOSPC, ERANGE } = constants.errno

export interface AttributeChange {
  /** Permission bits; the type stays. */
  mode?: number
  uid?: number
  gid?: number
  accessedNs?: bigint
  modifiedNs?: bigint
  changedNs?: bigint
}

export function changeAttributes(head: Head, state: InodeState, change: AttributeChange, unique: bigint): number {
  const transaction = new Transaction()
  transaction.touch(state)
  if (change.mode !== undefined) state.mode = typeOf(state.mode) | (change.mode & 0o7777)
  state.uid = change.uid ?? state.uid
  state.gid = change.gid ?? state.gid
  state.accessedNs = change.accessedNs ?? state.accessedNs
  state.modifiedNs = change.modifiedNs ?? state.modifiedNs
  state.changedNs = change.changedNs ?? head.nowNs()
  return head.apply(transaction, unique)
}

/** Names (latin1, one to one with their bytes) and values. */
export function readAttributes(head: Head, state: InodeState): Map<string, Buffer> {
  if (state.attributeBlock !== null) return toMap(state.attributeBlock)
  return state.attributesRoot === null ? new Map() : toMap(head.reader.read(state.attributesRoot))
}

export function setAttribute(
  head: Head, state: InodeState, name: Buffer, value: Buffer, flags: { createOnly: boolean; replaceOnly: boolean },
  unique: bigint,
): number {
  if (name.length > nameBytesMax) return -ERANGE
  if (value.length > xattrValueBytesMax) return -E2BIG
  const attributes = readAttributes(head, state)
  const key = name.toString('latin1')
  if (flags.createOnly && attributes.has(key)) return -EEXIST
  if (flags.replaceOnly && !attributes.has(key)) return -ENODATA
  attributes.set(key, value)
  return store(head, state, attributes, unique)
}

export function removeAttribute(head: Head, state: InodeState, name: Buffer, unique: bigint): number {
  const attributes = readAttributes(head, state)
  if (!attributes.delete(name.toString('latin1'))) return -ENODATA
  return store(head, state, attributes, unique)
}

function store(head: Head, state: InodeState, attributes: Map<string, Buffer>, unique: bigint): number {
  const list = [...attributes].map(([name, value]) => ({ name: Buffer.from(name, 'latin1'), value }))
  const block = list.length === 0 ? Buffer.alloc(0) : encodeAttributes(list)
  if (block.length > xattrTotalBytesMax) return -ENOSPC
  const transaction = new Transaction()
  transaction.setAttributes(state, block)
  state.changedNs = head.nowNs()
  return head.apply(transaction, unique)
}

function toMap(block: Buffer): Map<string, Buffer> {
  if (block.length === 0) return new Map()
  return new Map(decodeAttributes(block).map(({ name, value }) => [name.toString('latin1'), value]))
}
