/**
 * From the paths of libfuse's callbacks to nodes. A path's node is looked up once and remembered with
 * the reference that the lookup gave; the reference is given back when the path is dropped, because
 * it was removed or renamed, or because too many are remembered.
 *
 * Files that are removed while open: libfuse renames such a file to `.fuse_hidden...` and removes that
 * name at the last close. Here the file loses its name at once, as it should, and its node is held
 * under the hidden path, which no directory shows, until libfuse removes it.
 */
import { ERRNO } from '../errno.ts'
import type { Errno } from '../errno.ts'
import type { FileOperations } from '../operations.ts'
import type { RequestContext } from '../requests.ts'
import { DEFERRED } from '../results.ts'
import { nativeLimits } from './limits.ts'

const ROOT = 1
const REPLACEMENT = '\ufffd'
const HIDDEN = /\/\.fuse_hidden[0-9a-f]{16}$/

export interface Place {
  readonly parent: number
  readonly name: Buffer
}

export function isHiddenPath(path: string): boolean {
  return HIDDEN.test(path)
}

/** The binding turns bytes that are no UTF-8 into this character: what was meant is not known. */
export function isLegible(path: string): boolean {
  return !path.includes(REPLACEMENT)
}

export class NodePaths {
  readonly #operations: FileOperations
  readonly #context: () => RequestContext
  readonly #pathsMax: number
  readonly #nodes = new Map<string, number>()
  readonly #hidden = new Map<string, number>()

  constructor(operations: FileOperations, context: () => RequestContext, pathsMax: number = nativeLimits.pathsMax) {
    this.#operations = operations
    this.#context = context
    this.#pathsMax = pathsMax
  }

  get count(): number {
    return this.#nodes.size + this.#hidden.size
  }

  /** The node, or a negative errno. */
  node(path: string): number | Errno {
    if (path === '/') return ROOT
    const known = this.#nodes.get(path) ?? this.#hidden.get(path)
    return known ?? this.#lookup(path)
  }

  /** The directory and the last name, or a negative errno. */
  place(path: string): Place | Errno {
    if (!isLegible(path)) return -ERRNO.EILSEQ
    const slash = path.lastIndexOf('/')
    const parent = this.node(slash === 0 ? '/' : path.slice(0, slash))
    return parent < 0 ? parent : { parent, name: Buffer.from(path.slice(slash + 1)) }
  }

  /** Remembers a path with the reference that an answer about it has given. */
  adopt(path: string, node: number): void {
    this.#dropOne(path)
    this.#nodes.set(path, node)
    if (this.#nodes.size <= this.#pathsMax) return
    const [oldest] = this.#nodes.keys()
    this.#dropOne(oldest)
  }

  /** The path means nothing any more, nor do those below it. */
  drop(path: string, isDirectory: boolean): void {
    this.#dropOne(path)
    if (!isDirectory) return
    for (const each of [...this.#nodes.keys()]) if (each.startsWith(`${path}/`)) this.#dropOne(each)
  }

  /** Holds the node of a path that is about to lose its name. */
  hide(hiddenPath: string, node: number, path: string): void {
    if (this.#nodes.get(path) !== node) return
    this.#nodes.delete(path)
    this.#hidden.set(hiddenPath, node)
  }

  /** True when the path was hidden: its file is gone now. */
  unhide(hiddenPath: string): boolean {
    const node = this.#hidden.get(hiddenPath)
    if (node === undefined) return false
    this.#hidden.delete(hiddenPath)
    this.#forget(node)
    return true
  }

  /** Gives back all references. */
  clear(): void {
    for (const path of [...this.#nodes.keys()]) this.#dropOne(path)
    for (const path of [...this.#hidden.keys()]) this.unhide(path)
  }

  #lookup(path: string): number | Errno {
    const place = this.place(path)
    if (typeof place === 'number') return place
    const found = this.#operations.lookup(this.#context(), place)
    if (found === DEFERRED) return -ERRNO.EIO
    if (typeof found === 'number') return found
    if (found.node === 0) return -ERRNO.ENOENT
    this.adopt(path, found.node)
    return found.node
  }

  #dropOne(path: string): void {
    const node = this.#nodes.get(path)
    if (node === undefined) return
    this.#nodes.delete(path)
    this.#forget(node)
  }

  #forget(node: number): void {
    this.#operations.forget(this.#context(), { node, count: 1 })
  }
}
