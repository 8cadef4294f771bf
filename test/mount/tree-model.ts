/** A file tree in memory that behaves as POSIX says, and its comparison with a real one. */
import { Buffer } from 'node:buffer'
import { closeSync, constants, lstatSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { join } from 'node:path'

export interface FileNode {
  kind: 'file'
  data: Buffer
  mode: number
  links: number
}

export interface LinkNode {
  kind: 'link'
  target: string
}

export interface DirectoryNode {
  kind: 'directory'
  mode: number
  children: Map<string, TreeNode>
}

export type TreeNode = FileNode | LinkNode | DirectoryNode

/** Names from the root down to the thing itself. */
export type Path = readonly string[]

/** Each call answers as the system would: the name of its error, or null when it was done. */
export class TreeModel {
  root: DirectoryNode = { kind: 'directory', mode: 0o755, children: new Map() }

  clone(): TreeModel {
    const copies = new Map<TreeNode, TreeNode>()
    const copyOf = (node: TreeNode): TreeNode => {
      const known = copies.get(node)
      if (known !== undefined) return known
      const copy: TreeNode = node.kind === 'file' ? { ...node, data: Buffer.from(node.data) } : { ...node }
      copies.set(node, copy)
      if (copy.kind === 'directory') {
        copy.children = new Map([...copy.children].map(([name, child]) => [name, copyOf(child)]))
      }
      return copy
    }
    const model = new TreeModel()
    model.root = copyOf(this.root) as DirectoryNode
    return model
  }

  at(path: Path): TreeNode | undefined {
    let node: TreeNode | undefined = this.root
    for (const name of path) node = node?.kind === 'directory' ? node.children.get(name) : undefined
    return node
  }

  /** Of everything below the root, parents before children. */
  paths(): Path[] {
    const found: Path[] = []
    const walk = (path: Path, node: TreeNode): void => {
      if (path.length > 0) found.push(path)
      if (node.kind === 'directory') for (const [name, child] of node.children) walk([...path, name], child)
    }
    walk([], this.root)
    return found
  }

  make(path: Path, node: TreeNode): string | null {
    const parent = this.#parent(path)
    if (parent.children.has(nameOf(path))) return 'EEXIST'
    parent.children.set(nameOf(path), node)
    return null
  }

  link(from: Path, to: Path): string | null {
    const node = this.at(from)!
    if (node.kind === 'directory' && this.at(to) === undefined) return 'EPERM'
    const refused = this.make(to, node)
    if (refused === null && node.kind === 'file') node.links += 1
    return refused
  }

  unlink(path: Path): string | null {
    const node = this.at(path)!
    if (node.kind === 'directory') return 'EISDIR'
    this.#drop(path, node)
    return null
  }

  rmdir(path: Path): string | null {
    const node = this.at(path)!
    if (node.kind !== 'directory') return 'ENOTDIR'
    if (node.children.size > 0) return 'ENOTEMPTY'
    this.#drop(path, node)
    return null
  }

  removeTree(path: Path): void {
    const node = this.at(path)!
    if (node.kind === 'directory') for (const name of [...node.children.keys()]) this.removeTree([...path, name])
    this.#drop(path, node)
  }

  rename(from: Path, to: Path): string | null {
    const source = this.at(from)!
    const target = this.at(to)
    if (isBelow(from, to) && from.length < to.length) return 'EINVAL'
    if (isBelow(to, from) && to.length < from.length) return 'ENOTEMPTY'
    if (source === target) return null
    if (target !== undefined) {
      if (source.kind === 'directory' && target.kind !== 'directory') return 'ENOTDIR'
      if (source.kind !== 'directory' && target.kind === 'directory') return 'EISDIR'
      if (target.kind === 'directory' && target.children.size > 0) return 'ENOTEMPTY'
      this.#drop(to, target)
    }
    this.#parent(from).children.delete(nameOf(from))
    this.#parent(to).children.set(nameOf(to), source)
    return null
  }

  #parent(path: Path): DirectoryNode {
    return this.at(path.slice(0, -1)) as DirectoryNode
  }

  #drop(path: Path, node: TreeNode): void {
    if (node.kind === 'file') node.links -= 1
    this.#parent(path).children.delete(nameOf(path))
  }
}

export function writeInto(node: FileNode, offset: number, bytes: Buffer): void {
  if (node.data.length < offset + bytes.length) resize(node, offset + bytes.length)
  bytes.copy(node.data, offset)
}

export function resize(node: FileNode, size: number): void {
  const data = Buffer.alloc(size)
  node.data.copy(data)
  node.data = data
}

/** The file as its server has it, past the page cache; file systems on disks want more of a buffer. */
export function readDirect(path: string): Buffer {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECT)
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const part = Buffer.alloc(2 ** 20)
    const bytes = readSync(descriptor, part, 0, part.length, at)
    if (bytes === 0) break
    parts.push(part.subarray(0, bytes))
    at += bytes
  }
  closeSync(descriptor)
  return Buffer.concat(parts)
}

/** What differs between the model and a directory; nothing when they are equal. */
export function differences(model: TreeModel, directory: string, read: (path: string) => Buffer = readFileSync): string[] {
  const found: string[] = []
  const compare = (at: string, node: TreeNode): void => {
    const stat = lstatSync(at, { throwIfNoEntry: false })
    if (stat === undefined) return void found.push(`${at} is missing`)
    const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'link' : stat.isFile() ? 'file' : 'other'
    if (kind !== node.kind) return void found.push(`${at} is a ${kind}, not a ${node.kind}`)
    if (node.kind === 'link') {
      if (readlinkSync(at) !== node.target) found.push(`${at} points elsewhere`)
      return
    }
    if (at !== directory && (stat.mode & 0o7777) !== node.mode) found.push(`${at} has mode ${stat.mode.toString(8)}`)
    if (node.kind === 'file') {
      if (stat.nlink !== node.links) found.push(`${at} has ${stat.nlink} links, not ${node.links}`)
      const data = read(at)
      if (!data.equals(node.data)) found.push(`${at}: ${firstDifference(data, node.data)}`)
      return
    }
    const names = readdirSync(at).sort()
    const wanted = [...node.children.keys()].sort()
    if (names.join('/') !== wanted.join('/')) found.push(`${at} holds ${names.join(' ')}, not ${wanted.join(' ')}`)
    for (const [name, child] of node.children) compare(join(at, name), child)
  }
  compare(directory, model.root)
  return found
}

function firstDifference(found: Buffer, wanted: Buffer): string {
  const at = found.findIndex((byte, index) => byte !== wanted[index])
  return `${found.length} bytes, not ${wanted.length}; differs first at ${at < 0 ? found.length : at}`
}

function nameOf(path: Path): string {
  return path.at(-1)!
}

/** `path` is `above` or lies in it. */
function isBelow(above: Path, path: Path): boolean {
  return above.every((name, index) => path[index] === name)
}
