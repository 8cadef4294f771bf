/**
 * What a head must do, said again in the plainest way: inodes in a map, file data in whole chunks that are
 * never changed in place. An operation is data, so that after a crash the survivors can be applied again to
 * the state that was committed.
 */
import { Buffer } from 'node:buffer'
import { constants } from 'node:os'
import { chunkBytes } from '../../src/limits.ts'

const { EEXIST, EISDIR, ENODATA, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } = constants.errno

export const modelRoot = 1

export interface Times {
  accessedNs: bigint
  modifiedNs: bigint
  changedNs: bigint
}

export interface Node extends Times {
  number: number
  kind: 'file' | 'directory' | 'link' | 'fifo'
  permissions: number
  uid: number
  links: number
  size: number
  isMemory: boolean
  /** Made without a name: it may be linked once. */
  isLinkable: boolean
  target: string
  references: number
  attributes: Map<string, string>
  chunks: Map<number, Buffer>
  names: Map<string, number>
}

export type Operation = { touched?: Touched[] } & (
  | { do: 'make'; parent: number; name: string; kind: Node['kind']; permissions: number; uid: number; isMemory: boolean
      target: string; inode: number }
  | { do: 'makeUnnamed'; permissions: number; uid: number; isLinkable: boolean; inode: number }
  | { do: 'link'; inode: number; parent: number; name: string }
  | { do: 'remove'; parent: number; name: string; wants: 'directory' | 'other' }
  | { do: 'rename'; parent: number; name: string; newParent: number; newName: string; noReplace: boolean; exchange: boolean }
  | { do: 'write'; inode: number; at: number; bytes: Buffer }
  | { do: 'truncate'; inode: number; size: number }
  | { do: 'zero'; inode: number; at: number; length: number }
  | { do: 'setAttribute'; inode: number; name: string; value: string; createOnly: boolean; replaceOnly: boolean }
  | { do: 'removeAttribute'; inode: number; name: string }
  | { do: 'change'; inode: number; permissions?: number; uid?: number; accessedNs?: bigint; modifiedNs?: bigint }
  | { do: 'reference'; inode: number; count?: number }
  | { do: 'forget'; inode: number }
)

/** What a namespace record says of an inode besides what was asked: it wins over lost writes of another lane. */
export interface Touched extends Times {
  inode: number
  size: number
}

export class Model {
  readonly nodes = new Map<number, Node>()

  clone(): Model {
    const copy = new Model()
    for (const [number, node] of this.nodes) {
      copy.nodes.set(number, {
        ...node, attributes: new Map(node.attributes), chunks: new Map(node.chunks), names: new Map(node.names),
      })
    }
    return copy
  }

  addRoot(times: Times): this {
    this.nodes.set(modelRoot, { ...freshNode(modelRoot, 'directory'), permissions: 0o755, links: 2, ...times })
    return this
  }

  node(number: number): Node {
    const node = this.nodes.get(number)
    if (node === undefined) throw new Error(`the model has no inode ${number}`)
    return node
  }

  /** What unmounting or a crash leaves: nobody refers to anything, so what has no name is gone. */
  dropReferences(): void {
    for (const node of this.nodes.values()) {
      node.references = 0
      if (node.links === 0) this.nodes.delete(node.number)
    }
  }

  /** 0, or the negative errno with which the head must refuse it. */
  apply(operation: Operation): number {
    const result = this.#apply(operation)
    const isData = operation.do === 'write' || operation.do === 'zero' || operation.do === 'truncate'
    if (result === 0) for (const touched of operation.touched ?? []) this.#touch(touched, isData)
    return result
  }

  #touch({ inode, size, accessedNs, modifiedNs, changedNs }: Touched, isData: boolean): void {
    const node = this.nodes.get(inode)
    if (node !== undefined) Object.assign(node, { modifiedNs, changedNs }, isData ? {} : { size, accessedNs })
  }

  #apply(operation: Operation): number {
    switch (operation.do) {
      case 'make': return this.#make(operation)
      case 'makeUnnamed': return this.#makeUnnamed(operation)
      case 'link': return this.#link(operation)
      case 'remove': return this.#remove(operation)
      case 'rename': return this.#rename(operation)
      case 'write': return this.#write(this.node(operation.inode), operation.at, operation.bytes)
      case 'truncate': return this.#truncate(this.node(operation.inode), operation.size)
      case 'zero': return this.#zero(this.node(operation.inode), operation.at, operation.length)
      case 'setAttribute': return this.#setAttribute(operation)
      case 'removeAttribute': return this.node(operation.inode).attributes.delete(operation.name) ? 0 : -ENODATA
      case 'change': return this.#change(operation)
      case 'reference':
        this.node(operation.inode).references += operation.count ?? 1
        return 0
      case 'forget': return this.#forget(this.node(operation.inode))
    }
  }

  #make(request: Operation & { do: 'make' }): number {
    const parent = this.node(request.parent)
    const refused = refuseNewName(parent, request.name)
    if (refused !== 0) return refused
    const isDirectory = request.kind === 'directory'
    this.nodes.set(request.inode, {
      ...freshNode(request.inode, request.kind), permissions: request.permissions, uid: request.uid,
      isMemory: request.isMemory, target: request.target, links: isDirectory ? 2 : 1, size: request.target.length,
    })
    if (isDirectory) parent.links += 1
    parent.names.set(request.name, request.inode)
    return 0
  }

  #makeUnnamed({ inode, permissions, uid, isLinkable }: Operation & { do: 'makeUnnamed' }): number {
    this.nodes.set(inode, { ...freshNode(inode, 'file'), permissions, uid, isLinkable, links: 0, references: 1 })
    return 0
  }

  #link({ inode, parent: at, name }: Operation & { do: 'link' }): number {
    const node = this.node(inode)
    const parent = this.node(at)
    if (node.kind === 'directory') return -EPERM
    if (node.links === 0 && !node.isLinkable) return -ENOENT
    const refused = refuseNewName(parent, name)
    if (refused !== 0) return refused
    node.links += 1
    node.isLinkable = false
    parent.names.set(name, inode)
    return 0
  }

  #remove({ parent: at, name, wants }: Operation & { do: 'remove' }): number {
    const parent = this.node(at)
    const found = parent.names.get(name)
    if (found === undefined) return -ENOENT
    const node = this.node(found)
    if (wants === 'directory' && node.kind !== 'directory') return -ENOTDIR
    if (wants === 'other' && node.kind === 'directory') return -EISDIR
    if (node.names.size > 0) return -ENOTEMPTY
    parent.names.delete(name)
    this.#unname(parent, node)
    return 0
  }

  #rename(request: Operation & { do: 'rename' }): number {
    const [parent, newParent] = [this.node(request.parent), this.node(request.newParent)]
    const [from, to] = [parent.names.get(request.name), newParent.names.get(request.newName)]
    if (from === undefined || (request.exchange && to === undefined)) return -ENOENT
    const source = this.node(from)
    const target = to === undefined ? null : this.node(to)
    if (target !== null && request.exchange) {
      parent.names.set(request.name, target.number)
      newParent.names.set(request.newName, source.number)
      if (target.kind === 'directory') moveLink(newParent, parent)
    } else {
      if (target !== null && request.noReplace) return -EEXIST
      if (target === source) return 0
      if (target?.kind === 'directory' && source.kind !== 'directory') return -EISDIR
      if (target !== null && target.names.size > 0) return -ENOTEMPTY
      if (target !== null && target.kind !== 'directory' && source.kind === 'directory') return -ENOTDIR
      if (target !== null) this.#unname(newParent, target)
      parent.names.delete(request.name)
      newParent.names.set(request.newName, source.number)
    }
    if (source.kind === 'directory') moveLink(parent, newParent)
    return 0
  }

  #unname(parent: Node, node: Node): void {
    node.links = node.kind === 'directory' ? 0 : node.links - 1
    if (node.kind === 'directory') parent.links -= 1
    if (node.links === 0 && node.references === 0) this.nodes.delete(node.number)
  }

  #write(node: Node, at: number, bytes: Buffer): number {
    for (let done = 0; done < bytes.length;) {
      const chunk = Math.floor((at + done) / chunkBytes)
      const within = (at + done) % chunkBytes
      const take = Math.min(chunkBytes - within, bytes.length - done)
      const changed = Buffer.from(node.chunks.get(chunk) ?? Buffer.alloc(chunkBytes))
      bytes.copy(changed, within, done, done + take)
      node.chunks.set(chunk, changed)
      done += take
    }
    node.size = Math.max(node.size, at + bytes.length)
    return 0
  }

  #truncate(node: Node, size: number): number {
    if (size < node.size) this.#clear(node, size, node.size)
    node.size = size
    return 0
  }

  #zero(node: Node, at: number, length: number): number {
    this.#clear(node, at, Math.min(node.size, at + length))
    return 0
  }

  #clear(node: Node, from: number, to: number): void {
    for (const [chunk, bytes] of node.chunks) {
      const start = Math.max(0, from - chunk * chunkBytes)
      const end = Math.min(chunkBytes, to - chunk * chunkBytes)
      if (start < end) node.chunks.set(chunk, Buffer.from(bytes).fill(0, start, end))
    }
  }

  #setAttribute({ inode, name, value, createOnly, replaceOnly }: Operation & { do: 'setAttribute' }): number {
    const { attributes } = this.node(inode)
    if (createOnly && attributes.has(name)) return -EEXIST
    if (replaceOnly && !attributes.has(name)) return -ENODATA
    attributes.set(name, value)
    return 0
  }

  #change({ inode, permissions, uid }: Operation & { do: 'change' }): number {
    const node = this.node(inode)
    node.permissions = permissions ?? node.permissions
    node.uid = uid ?? node.uid
    return 0
  }

  #forget(node: Node): number {
    node.references = Math.max(0, node.references - 1)
    if (node.references === 0 && node.links === 0) this.nodes.delete(node.number)
    return 0
  }
}

function freshNode(number: number, kind: Node['kind']): Node {
  return {
    number, kind, permissions: 0o644, uid: 0, links: 1, size: 0, isMemory: false, isLinkable: false,
    target: '', references: 0, attributes: new Map(), chunks: new Map(), names: new Map(), accessedNs: 0n, modifiedNs: 0n, changedNs: 0n,
  }
}

function refuseNewName(parent: Node, name: string): number {
  if (parent.links === 0) return -ENOENT
  return parent.names.has(name) ? -EEXIST : 0
}

function moveLink(from: Node, to: Node): void {
  from.links -= 1
  to.links += 1
}
