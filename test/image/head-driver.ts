/** Does a model's operations on a head, and compares the two. */
import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { chunkBytes } from '../../src/limits.ts'
import { logRecordHeaderBytes } from '../../src/format/log.ts'
import type { Head } from '../../src/image/head.ts'
import { changeAttributes, readAttributes, removeAttribute, setAttribute } from '../../src/image/head-attributes.ts'
import { readData, seekData, truncateData, writeData, zeroData } from '../../src/image/head-data.ts'
import { offsetOf } from '../../src/image/offset.ts'
import { link, make, makeUnnamed, remove, removal, rename } from '../../src/image/head-names.ts'
import type { InodeState } from '../../src/image/inode-state.ts'
import { listNames } from '../../src/image/listing.ts'
import { fileType, typeOf } from '../../src/image/modes.ts'
import { modelRoot } from './model.ts'
import type { Model, Node, Operation, Touched } from './model.ts'

const types = { file: fileType.regular, directory: fileType.directory, link: fileType.link, fifo: fileType.fifo }

/** The result as the head gives it; an inode that was made is noted in the operation. */
export function perform(head: Head, operation: Operation): number {
  const result = performed(head, operation)
  if (typeof result === 'number') return Math.min(result, 0)
  if (isMaking(operation)) operation.inode = result.number
  return 0
}

/** Whether the operation's inode is what it makes. */
export function isMaking(operation: Operation): operation is Operation & { do: 'make' | 'makeUnnamed' } {
  return operation.do === 'make' || operation.do === 'makeUnnamed'
}

/** What the record of the operation says besides: attributes of every inode that it names. */
export function touchedBy(head: Head, numbers: Iterable<number>): Touched[] {
  const touched: Touched[] = []
  for (const number of new Set(numbers)) {
    const state = head.inode(number)
    if (state === null) continue
    const { accessedNs, modifiedNs, changedNs } = state
    touched.push({ inode: number, size: Number(state.size), accessedNs, modifiedNs, changedNs })
  }
  return touched
}

function performed(head: Head, operation: Operation): InodeState | number {
  switch (operation.do) {
    case 'make': {
      const { kind, permissions, uid, isMemory, target } = operation
      const request = { mode: types[kind] | permissions, uid, gid: 0, isMemory, target: bytesOf(target) }
      return make(head, inode(head, operation.parent), bytesOf(operation.name), request, 0n)
    }
    case 'makeUnnamed': {
      const { permissions, uid, isLinkable } = operation
      const made = makeUnnamed(head, inode(head, modelRoot), { mode: types.file | permissions, uid, gid: 0, isLinkable }, 0n)
      // Its maker has it open.
      if (typeof made === 'object') made.references += 1
      return made
    }
    case 'link': return link(head, inode(head, operation.inode), inode(head, operation.parent), bytesOf(operation.name), 0n)
    case 'remove': return remove(head, inode(head, operation.parent), bytesOf(operation.name), operation.wants, 0n)
    case 'rename': return rename(head, {
      ...operation, parent: inode(head, operation.parent), newParent: inode(head, operation.newParent),
      name: bytesOf(operation.name), newName: bytesOf(operation.newName),
    }, 0n)
    case 'setAttribute':
      return setAttribute(head, inode(head, operation.inode), bytesOf(operation.name), bytesOf(operation.value), operation, 0n)
    case 'removeAttribute': return removeAttribute(head, inode(head, operation.inode), bytesOf(operation.name), 0n)
    case 'change': {
      const { permissions, uid, accessedNs, modifiedNs } = operation
      return changeAttributes(head, inode(head, operation.inode), { mode: permissions, uid, accessedNs, modifiedNs }, 0n)
    }
    case 'reference':
      inode(head, operation.inode).references += 1
      return 0
    case 'forget':
      head.forget(operation.inode, 1, 0n, removal)
      return 0
    default: return dataPerformed(head, operation)
  }
}

function dataPerformed(head: Head, operation: Operation & { do: 'write' | 'truncate' | 'zero' }): number {
  const state = inode(head, operation.inode)
  switch (operation.do) {
    case 'write': {
      const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), operation.bytes])
      return writeData(head, state, offsetOf(BigInt(operation.at)), message, logRecordHeaderBytes, operation.bytes.length, 0n)
    }
    case 'truncate': return truncateData(head, state, offsetOf(BigInt(operation.size)), 0n)
    case 'zero': return zeroData(head, state, offsetOf(BigInt(operation.at)), BigInt(operation.length), 0n)
  }
}

/** What differs, in words; nothing else is thrown. */
export function differences(head: Head, model: Model): string[] {
  const found: string[] = []
  const reached = new Set<number>()
  const open = [modelRoot]
  for (let number = open.pop(); number !== undefined; number = open.pop()) {
    if (reached.has(number)) continue
    reached.add(number)
    const node = model.node(number)
    found.push(...nodeDifferences(head, node).map((difference) => `inode ${number}: ${difference}`))
    open.push(...node.names.values())
  }
  for (const node of model.nodes.values()) {
    if (!reached.has(node.number)) found.push(...nodeDifferences(head, node).map((text) => `orphan ${node.number}: ${text}`))
  }
  return found
}

function nodeDifferences(head: Head, node: Node): string[] {
  const state = head.inode(node.number)
  if (state === null) return ['is missing']
  const found: string[] = []
  const compare = (what: string, has: unknown, wants: unknown): void => {
    if (!isDeepStrictEqual(has, wants)) found.push(`${what} is ${String(has)}, not ${String(wants)}`)
  }
  compare('type', typeOf(state.mode), types[node.kind])
  compare('permissions', state.mode & 0o7777, node.permissions)
  compare('owner', state.uid, node.uid)
  compare('links', state.linkCount, node.links)
  compare('linkable', state.isLinkable, node.isLinkable)
  compare('memory', state.isMemory, node.isMemory)
  compare('target', state.target.toString('latin1'), node.target)
  compare('times', [state.accessedNs, state.modifiedNs, state.changedNs].join(), [node.accessedNs, node.modifiedNs, node.changedNs].join())
  if (node.kind !== 'directory') compare('size', Number(state.size), node.size)
  const attributes = [...readAttributes(head, state)].map(([name, value]) => `${name}=${value.toString('latin1')}`).sort()
  compare('attributes', attributes.join(), [...node.attributes].map(([name, value]) => `${name}=${value}`).sort().join())
  if (node.kind === 'directory') compare('names', namesIn(head, state), [...node.names].map(([name, at]) => `${name}=${at}`).sort().join())
  if (node.kind === 'file') found.push(...dataDifferences(head, state, node))
  return found
}

function namesIn(head: Head, state: InodeState): string {
  return [...listNames(head, state, 0)].map((entry) => `${entry.name.toString('latin1')}=${entry.inode}`).sort().join()
}

const zeros = Buffer.alloc(chunkBytes)
const target = Buffer.alloc(chunkBytes)

function dataDifferences(head: Head, state: InodeState, node: Node): string[] {
  for (let at = 0; at < node.size; at += chunkBytes) {
    const length = Math.min(chunkBytes, node.size - at)
    const wants = (node.chunks.get(at / chunkBytes) ?? zeros).subarray(0, length)
    target.fill(0xaa)
    const count = readData(head, state, at / chunkBytes, 0, chunkBytes, target)
    if (count !== length) return [`reads ${count} bytes at ${at}, not ${length}`]
    if (!target.subarray(0, length).equals(wants)) {
      const first = target.findIndex((byte, index) => byte !== wants[index])
      return [`differs at ${at + first}: ${target[first]}, not ${wants[first]}`]
    }
  }
  return seekDifferences(head, state, node)
}

/** Holes may be called data, but data must never be called a hole. */
function seekDifferences(head: Head, state: InodeState, node: Node): string[] {
  let at = 0
  while (at < node.size) {
    const found = seekData(head, state, offsetOf(BigInt(at)), 'data')
    const end = found < 0 ? node.size : Number(found)
    if (end < at) return [`data after ${at} is found at ${end}`]
    for (const [chunk, bytes] of node.chunks) {
      const start = chunk * chunkBytes
      if (start >= at && start < end && start < node.size && !bytes.equals(zeros)) return [`a hole hides the data at ${start}`]
    }
    if (end >= node.size) return []
    at = Number(seekData(head, state, offsetOf(BigInt(end)), 'hole'))
    if (at <= end) return [`the hole after ${end} is found at ${at}`]
  }
  return []
}

function inode(head: Head, number: number): InodeState {
  const state = head.inode(number)
  if (state === null) throw new Error(`the head has no inode ${number}`)
  return state
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
