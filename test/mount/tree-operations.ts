/** Random system calls on a directory and on a model of it: each must answer as the model says. */
import { Buffer } from 'node:buffer'
import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../random.ts'
import { resize, writeInto } from './tree-model.ts'
import type { DirectoryNode, FileNode, Path, TreeModel, TreeNode } from './tree-model.ts'

/** Few, so that they meet. */
const names = ['a', 'b', 'c', 'd', 'e', 'with spaces', 'ümlaut', 'n'.repeat(255)]

interface OpenFile {
  descriptor: number
  node: FileNode
}

export class TreeWalker {
  model: TreeModel
  directory: string
  readonly faults: string[] = []
  readonly #random: Random
  #open: OpenFile[] = []

  constructor(model: TreeModel, directory: string, random: Random) {
    this.model = model
    this.directory = directory
    this.#random = random
  }

  step(): void {
    const random = this.#random
    const steps: [weight: number, step: () => void][] = [
      [10, () => this.#make()], [6, () => this.#write()], [5, () => this.#append()], [4, () => this.#truncate()],
      [3, () => this.#chmod()], [8, () => this.#rename()], [4, () => this.#remove()], [1, () => this.#removeTree()],
      [4, () => this.#link()], [3, () => this.#replace()], [3, () => this.#openAndDelete()], [4, () => this.#useOpen()],
      [3, () => this.#sync()], [2, () => this.#read()],
    ]
    let at = random.below(steps.reduce((sum, [weight]) => sum + weight, 0))
    steps.find(([weight]) => (at -= weight) < 0)![1]()
  }

  /** Before the mount goes; what it says of the files is of no interest then. */
  closeAll(): void {
    for (const { descriptor } of this.#open) {
      try {
        fs.closeSync(descriptor)
      } catch {
        // Its server is gone.
      }
    }
    this.#open = []
  }

  #real(path: Path): string {
    return join(this.directory, ...path)
  }

  /** Both do it, and must say the same. */
  #both(what: string, path: Path, expected: string | null, call: () => void): void {
    let found: string | null = null
    try {
      call()
    } catch (error) {
      found = String((error as NodeJS.ErrnoException).code)
    }
    if (found !== expected) this.faults.push(`${what} ${path.join('/')}: ${found}, not ${expected}`)
  }

  #make(at = this.#newPath()): void {
    const real = this.#real(at)
    switch (this.#random.below(4)) {
      case 0:
        return this.#both('mkdir', at, this.model.make(at, { kind: 'directory', mode: 0o750, children: new Map() }), () => {
          fs.mkdirSync(real)
          fs.chmodSync(real, 0o750)
        })
      case 1: {
        const target = `to ${at.length} ${this.#random.pick(names)}`
        return this.#both('symlink', at, this.model.make(at, { kind: 'link', target }), () => fs.symlinkSync(target, real))
      }
      default: {
        const data = this.#bytes()
        const expected = this.model.make(at, { kind: 'file', data: Buffer.from(data), mode: 0o640, links: 1 })
        return this.#both('create', at, expected, () => {
          fs.writeFileSync(real, data, { flag: 'wx' })
          fs.chmodSync(real, 0o640)
        })
      }
    }
  }

  #write(): void {
    this.#onFile('write', (path, node) => {
      const offset = this.#random.below(node.data.length + 70_000)
      const bytes = this.#bytes()
      writeInto(node, offset, bytes)
      const descriptor = fs.openSync(this.#real(path), 'r+')
      fs.writeSync(descriptor, bytes, 0, bytes.length, offset)
      fs.closeSync(descriptor)
    })
  }

  #append(): void {
    this.#onFile('append', (path, node) => {
      const bytes = this.#bytes()
      writeInto(node, node.data.length, bytes)
      fs.appendFileSync(this.#real(path), bytes)
    })
  }

  #truncate(): void {
    this.#onFile('truncate', (path, node) => {
      const { length } = node.data
      // What was cut off must not come back when the file grows again.
      const sizes = this.#random.pick([[this.#random.below(length + 1)], [this.#random.below(300_000)],
        [this.#random.below(length + 1), length], [0, length + 1]])
      for (const size of sizes) {
        resize(node, size)
        fs.truncateSync(this.#real(path), size)
      }
    })
  }

  #chmod(): void {
    const path = this.#anyPath()
    const node = path === null ? null : this.model.at(path)!
    if (path === null || node === null || node.kind === 'link') return
    node.mode = this.#random.pick([0o600, 0o644, 0o755, 0o711])
    this.#both('chmod', path, null, () => fs.chmodSync(this.#real(path), node.mode))
  }

  #rename(): void {
    const from = this.#anyPath()
    if (from === null) return
    const to = this.#newPath()
    this.#both(`rename ${from.join('/')} to`, to, this.model.rename(from, to), () => {
      fs.renameSync(this.#real(from), this.#real(to))
    })
  }

  #remove(): void {
    const path = this.#anyPath()
    if (path === null) return
    if (this.#random.below(2) === 0) this.#both('unlink', path, this.model.unlink(path), () => fs.unlinkSync(this.#real(path)))
    else this.#both('rmdir', path, this.model.rmdir(path), () => fs.rmdirSync(this.#real(path)))
  }

  #removeTree(): void {
    const path = this.#anyPath()
    if (path === null) return
    this.model.removeTree(path)
    this.#both('rm -r', path, null, () => fs.rmSync(this.#real(path), { recursive: true }))
  }

  #link(): void {
    const from = this.#anyPath()
    if (from === null || this.model.at(from)?.kind === 'link') return
    const to = this.#newPath()
    this.#both('link', to, this.model.link(from, to), () => fs.linkSync(this.#real(from), this.#real(to)))
  }

  /** By whatever else: a file becomes a directory, a directory a link. */
  #replace(): void {
    const path = this.#anyPath()
    if (path === null) return
    this.model.removeTree(path)
    this.#both('rm -r', path, null, () => fs.rmSync(this.#real(path), { recursive: true }))
    this.#make(path)
  }

  #openAndDelete(): void {
    this.#onFile('open and delete', (path, node) => {
      this.#open.push({ descriptor: fs.openSync(this.#real(path), 'r+'), node })
      this.model.unlink(path)
      fs.unlinkSync(this.#real(path))
    })
  }

  #useOpen(): void {
    const file = this.#open[this.#random.below(this.#open.length + 1)]
    if (file === undefined) return
    const { descriptor, node } = file
    this.#both('use of a file that was open', [], null, () => {
      const bytes = this.#bytes()
      const offset = node.data.length >> 1
      writeInto(node, offset, bytes)
      fs.writeSync(descriptor, bytes, 0, bytes.length, offset)
      const found = Buffer.alloc(node.data.length + 1)
      const length = fs.readSync(descriptor, found, 0, found.length, 0)
      if (!found.subarray(0, length).equals(node.data)) this.faults.push('a deleted file that is open holds something else')
      if (fs.fstatSync(descriptor).nlink !== node.links) this.faults.push('a deleted file counts its links wrongly')
      if (this.#random.below(3) > 0) return
      this.#open = this.#open.filter((each) => each !== file)
      fs.closeSync(descriptor)
    })
  }

  #sync(): void {
    const path = this.#anyPath()
    if (path === null || this.model.at(path)?.kind === 'link') return
    this.#both('fsync', path, null, () => {
      const descriptor = fs.openSync(this.#real(path), 'r')
      fs.fsyncSync(descriptor)
      fs.closeSync(descriptor)
    })
  }

  #read(): void {
    this.#onFile('read', (path, node) => {
      const descriptor = fs.openSync(this.#real(path), 'r')
      const offset = this.#random.below(node.data.length + 5)
      const into = Buffer.alloc(this.#random.below(150_000))
      const length = fs.readSync(descriptor, into, 0, into.length, offset)
      fs.closeSync(descriptor)
      const wanted = node.data.subarray(offset, offset + into.length)
      if (!into.subarray(0, length).equals(wanted)) this.faults.push(`${path.join('/')} reads wrongly from ${offset}`)
    })
  }

  #onFile(what: string, act: (path: Path, node: FileNode) => void): void {
    const files = this.model.paths().filter((path) => this.model.at(path)!.kind === 'file')
    if (files.length === 0) return
    const path = this.#random.pick(files)
    this.#both(what, path, null, () => act(path, this.model.at(path) as FileNode))
  }

  #anyPath(): Path | null {
    const paths = this.model.paths()
    return paths.length === 0 ? null : this.#random.pick(paths)
  }

  /** In a directory that is there; the name may be taken. */
  #newPath(): Path {
    const isDirectory = (node: TreeNode | undefined): node is DirectoryNode => node?.kind === 'directory'
    const directories = [[], ...this.model.paths()].filter((path) => isDirectory(this.model.at(path)) && path.length < 5)
    return [...this.#random.pick(directories), this.#random.pick(names)]
  }

  #bytes(): Buffer {
    const length = this.#random.pick([1, 17, 4096, 65_536, 70_001, 200_000])
    return Buffer.alloc(length, this.#random.bytes(1 + this.#random.below(7)))
  }
}
