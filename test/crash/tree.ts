/** The plain data of a file system: what a medium holds, or what a recording sees. */
import { Buffer } from 'node:buffer'

/** A file or a directory, numbered as long as the recording lasts. */
export type NodeNumber = number

export const rootNode: NodeNumber = 1

export interface Tree {
  readonly directories: Map<NodeNumber, Map<string, NodeNumber>>
  readonly files: Map<NodeNumber, Buffer>
  nextNode: NodeNumber
}

export function emptyTree(): Tree {
  return { directories: new Map([[rootNode, new Map()]]), files: new Map(), nextNode: rootNode + 1 }
}

/** One name that comes, goes or changes; a rename has two that happen together. */
export interface Edit {
  readonly directory: NodeNumber
  readonly name: string
  /** Null: the name goes. */
  readonly node: NodeNumber | null
}

export function applyEdits(directories: Tree['directories'], edits: readonly Edit[]): void {
  for (const { directory, name, node } of edits) {
    const names = directories.get(directory)
    if (node === null) names?.delete(name)
    else names?.set(name, node)
  }
}

/** Where a path's last name stands, and its node if it is there; null where its directory is not. */
export function locate(tree: Tree, names: readonly string[]): { directory: NodeNumber; name: string; node?: NodeNumber } | null {
  let directory = rootNode
  for (const name of names.slice(0, -1)) {
    const next = tree.directories.get(directory)?.get(name)
    if (next === undefined || !tree.directories.has(next)) return null
    directory = next
  }
  const name = names.at(-1)!
  return { directory, name, node: tree.directories.get(directory)?.get(name) }
}

/** Every file by its path. */
export function* filesOf(tree: Tree, at = rootNode, prefix = ''): Generator<[path: string, bytes: Buffer]> {
  for (const [name, node] of tree.directories.get(at) ?? []) {
    const bytes = tree.files.get(node)
    if (bytes !== undefined) yield [prefix + name, bytes]
    else yield* filesOf(tree, node, `${prefix}${name}/`)
  }
}

/** `bytes` laid over `content` at a position; a gap in between reads as zeros. */
export function overlaid(content: Buffer, bytes: Uint8Array, at: number): Buffer {
  const end = at + bytes.length
  const result = end > content.length ? Buffer.concat([content, Buffer.alloc(end - content.length)]) : content
  result.set(bytes, at)
  return result
}

export function resized(content: Buffer, bytes: number): Buffer {
  return bytes <= content.length ? content.subarray(0, bytes) : Buffer.concat([content, Buffer.alloc(bytes - content.length)])
}

/** A copy of its own without any contents. */
export function namesOf(tree: Tree): Tree {
  return {
    directories: new Map([...tree.directories].map(([node, names]) => [node, new Map(names)])), files: new Map(),
    nextNode: tree.nextNode,
  }
}
