/**
 * The prefetch list of an epoch with a machine: the records without which the machine does not run elsewhere (the way
 * through the manifest, device state, kernel, the memory that is touched first), then what it is likely to want next.
 */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { decodeInode } from '../format/inode.ts'
import type { RunEntry } from '../format/index-run.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { StoredEpoch } from '../format/epoch.ts'
import { encodePrefetchList } from '../format/prefetch-list.ts'
import { prefetchRecordsMax } from '../limits.ts'
import type { ChunkId } from '../store/chunks.ts'
import type { ThreadReader } from '../store/thread-reader.ts'
import { ImageFiles } from './image-files.ts'
import { isWorkingSet, likelyChunks } from './machine-state.ts'
import type { FileChunks } from './machine-state.ts'
import { fileType, typeOf } from './modes.ts'
import { findPath } from './paths.ts'
import { NodeReader, entries, get, nodes as nodesOf } from './tree/index.ts'

/** Files of a machine by what a resume does with them; paths in the image. */
export interface MachineFiles {
  readonly memory: string[]
  /** What of that the hypervisor reads when it loads device state. */
  readonly devices: FileChunks[]
  /** Read from end to end while the hypervisor starts. */
  readonly whole: string[]
  readonly disks: string[]
}

/** Null for an epoch without a machine, or one that is gone or damaged. The reader is the calling thread's. */
export function prefetchListOf(
  env: Env, directory: string, reader: ThreadReader, image: string, number: number, keys: DomainKeys | null = null,
): Buffer | null {
  const files = new ImageFiles(env, directory, image, keys)
  try {
    const record = files.epoch(number)
    if (record.machine === null) return null
    const paths = machineFiles(JSON.parse(record.machine.facts))
    const nodes = new NodeReader(reader)
    const likely = likelyChunks(env, files, reader, nodes, record, paths.memory)
    const set = [
      ...paths.disks.map((path) => ({ path, chunks: probedChunks })),
      ...paths.memory.map((path) => ({ path, chunks: [...new Set(chunksOf(path, [...paths.devices, ...likely]))] })),
    ]
    const chosen = new Chosen(reader)
    chooseFirst(chosen, reader, nodes, record, paths, set)
    const firstCount = chosen.entries.length
    const onDisks = likelyChunks(env, files, reader, nodes, record, paths.disks, 'recent')
    chooseNext(chosen, reader, nodes, record, paths, onDisks)
    const { domainId, keyId, imageId } = record
    return encodePrefetchList({
      domainId, keyId, imageId, number, entries: chosen.entries, firstCount, workingSet: JSON.stringify(set),
    })
  } catch (error) {
    // Without a list a resume elsewhere is slower, no more.
    if (!isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT', 'IO')) throw error
    return null
  }
}

/** As far as the facts tell. */
export function machineFiles(facts: unknown): MachineFiles {
  const { memoryFiles, disks, spec, deviceChunks } = fieldsOf(facts)
  const { kernel, firmware } = fieldsOf(spec)
  const { image, initrd } = fieldsOf(kernel)
  const memory = Array.isArray(memoryFiles) ? memoryFiles.map((file) => fieldsOf(file).path) : []
  return {
    memory: memory.filter(isText), devices: isWorkingSet(deviceChunks) ? deviceChunks : [],
    whole: [image, initrd, firmware].filter(isText),
    disks: Array.isArray(disks) ? disks.filter(isText) : [],
  }
}

/** Of a disk, which a hypervisor reads at its start. */
const probedChunks = [0]

function chooseFirst(
  chosen: Chosen, reader: ThreadReader, nodes: NodeReader, record: StoredEpoch, paths: MachineFiles, set: FileChunks[],
): void {
  chosen.add(record.manifest)
  const manifest = decodeManifest(reader.read(record.manifest))
  chosen.addTree(nodes, manifest.inodes)
  chosen.addContents(nodes, record.machine?.stateRoot ?? null)
  for (const [, value] of entries(nodes, manifest.inodes)) {
    const inode = decodeInode(value)
    if (typeOf(inode.mode) === fileType.directory) chosen.addTree(nodes, inode.dataRoot)
  }
  for (const path of paths.disks) {
    const root = rootOf(nodes, reader, record, path)
    chosen.addWay(root, 0)
    chosen.addChunks(nodes, root, probedChunks)
  }
  for (const path of paths.memory) chosen.addTree(nodes, rootOf(nodes, reader, record, path))
  for (const path of paths.whole) chosen.addContents(nodes, rootOf(nodes, reader, record, path))
  for (const { path, chunks } of set) chosen.addChunks(nodes, rootOf(nodes, reader, record, path), chunks)
}

function chooseNext(
  chosen: Chosen, reader: ThreadReader, nodes: NodeReader, record: StoredEpoch, paths: MachineFiles, set: FileChunks[],
): void {
  for (const path of paths.disks) chosen.addTree(nodes, rootOf(nodes, reader, record, path))
  for (const { path, chunks } of set) chosen.addChunks(nodes, rootOf(nodes, reader, record, path), chunks)
}

function rootOf(nodes: NodeReader, reader: ThreadReader, record: StoredEpoch, path: string): Buffer | null {
  return findPath(nodes, decodeManifest(reader.read(record.manifest)), path).inode.dataRoot
}

/** Places of records, each once. */
class Chosen {
  readonly entries: RunEntry[] = []
  readonly #reader: ThreadReader
  readonly #seen = new Set<string>()

  constructor(reader: ThreadReader) {
    this.#reader = reader
  }

  add(id: Buffer): void {
    for (const entry of this.#reader.places(id)) {
      const key = `${entry.id.toString('latin1')}${entry.place.depth}`
      if (this.#seen.has(key) || this.entries.length >= prefetchRecordsMax) continue
      this.#seen.add(key)
      this.entries.push(entry)
    }
  }

  /** The nodes that a look for a chunk comes by. */
  addWay(root: Buffer | null, chunk: number): void {
    const read = (id: ChunkId): Buffer => {
      this.add(id)
      return this.#reader.read(id)
    }
    get(new NodeReader({ read, has: (id) => this.#reader.has(id) }), root, chunk)
  }

  /** Nodes, not what the leaves name. */
  addTree(nodes: NodeReader, root: Buffer | null): void {
    for (const id of nodesOf(nodes, root)) this.add(id)
  }

  addContents(nodes: NodeReader, root: Buffer | null): void {
    this.addTree(nodes, root)
    for (const [, id] of entries(nodes, root)) this.add(Buffer.from(id))
  }

  addChunks(nodes: NodeReader, root: Buffer | null, chunks: readonly number[]): void {
    for (const chunk of chunks) {
      const id = get(nodes, root, chunk)
      if (id !== null) this.add(Buffer.from(id))
    }
  }
}

function chunksOf(path: string, sets: readonly FileChunks[]): number[] {
  return sets.filter((set) => set.path === path).flatMap(({ chunks }) => chunks)
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
