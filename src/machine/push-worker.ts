/**
 * The pushing thread: puts chunks of an epoch into the page cache of a mount that nobody uses yet. It serves no
 * requests, as a thread that stores pages must not, and reads the store through a reader of its own.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { systemEnv } from '../env/system.ts'
import { messageOf } from '../errors.ts'
import type { InodeRecord } from '../format/inode.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { Manifest } from '../format/manifest.ts'
import { findPath } from '../image/paths.ts'
import { get, NodeReader } from '../image/tree/index.ts'
import { chunkBytes, MIB } from '../limits.ts'
import { storePages } from '../mount/page-cache.ts'
import { openChunkReader } from '../store/open.ts'
import { BootFiles } from './boot-files.ts'
import type { FindRequest, PushAnswer, PushRequest, PushStart } from './push-messages.ts'

const env = systemEnv()
/** One notification takes a MiB. */
const runChunksMax = MIB / chunkBytes
const zeroChunk = Buffer.alloc(chunkBytes)

type StoreReader = Awaited<ReturnType<typeof openChunkReader>>

class Pusher {
  readonly #reader: StoreReader
  readonly #nodes: NodeReader
  readonly #boot = new BootFiles(env)

  constructor(reader: StoreReader) {
    this.#reader = reader
    this.#nodes = new NodeReader(reader)
  }

  close(): void {
    this.#boot.close()
    this.#reader.close()
  }

  find(request: FindRequest): (string | null)[] {
    const manifest = this.#manifest(request.manifest)
    return request.paths.map((path) => {
      const { inode } = findPath(this.#nodes, manifest, path)
      if (request.isToHold) this.#boot.hold(inode, () => this.#pieces(inode))
      return this.#boot.find(inode)
    })
  }

  push(request: PushRequest): number {
    const manifest = this.#manifest(request.manifest)
    const stop = new Int32Array(request.stop)
    let pushedBytes = 0
    for (const { path, chunks } of [...request.whole.map((path) => ({ path, chunks: null })), ...request.files]) {
      const { number, inode } = findPath(this.#nodes, manifest, path)
      // The kernel takes pages only for an inode that it knows.
      env.stat(join(request.root, path))
      for (const run of runsOf(chunks ?? allChunks(Number(inode.size)))) {
        if (Atomics.load(stop, 0) !== 0) return pushedBytes
        const pieces = run.map((chunk) => this.#piece(inode.dataRoot, chunk, Number(inode.size)))
        storePages(request.descriptor, number, run[0], 0, pieces.filter((piece) => piece.length > 0))
        pushedBytes += pieces.reduce((sum, piece) => sum + piece.length, 0)
      }
    }
    return pushedBytes
  }

  #manifest(id: string): Manifest {
    return decodeManifest(this.#reader.read(Buffer.from(id, 'hex')))
  }

  * #pieces({ dataRoot, size }: InodeRecord): Generator<Buffer> {
    for (const chunk of allChunks(Number(size))) yield this.#piece(dataRoot, chunk, Number(size))
  }

  /** Not past the end: a store there would make the file longer. */
  #piece(dataRoot: Buffer | null, chunk: number, sizeBytes: number): Buffer {
    const id = get(this.#nodes, dataRoot, chunk)
    const plain = id === null ? zeroChunk : this.#reader.read(id)
    return plain.subarray(0, Math.max(0, Math.min(chunkBytes, sizeBytes - chunk * chunkBytes)))
  }
}

function allChunks(bytes: number): number[] {
  return Array.from({ length: Math.ceil(bytes / chunkBytes) }, (_, chunk) => chunk)
}

/** Neighbours go in one notification; the order stays. */
function runsOf(chunks: readonly number[]): number[][] {
  const runs: number[][] = []
  for (const chunk of chunks) {
    const run = runs.at(-1)
    if (run !== undefined && run.at(-1) === chunk - 1 && run.length < runChunksMax) run.push(chunk)
    else runs.push([chunk])
  }
  return runs
}

async function serve(port: MessagePort, { directory }: PushStart): Promise<void> {
  const reader = await openChunkReader(env, directory)
  const pusher = new Pusher(reader)
  const answer = (message: PushAnswer): void => port.postMessage(message)
  port.on('message', (request: FindRequest | PushRequest | 'close') => {
    if (request === 'close') {
      port.close()
      return pusher.close()
    }
    try {
      if (request.type === 'find') answer({ id: request.id, held: pusher.find(request) })
      else answer({ id: request.id, pushedBytes: pusher.push(request) })
    } catch (error) {
      answer({ id: request.id, error: messageOf(error) })
    }
  })
  answer({ id: 0 })
}

if (parentPort !== null) await serve(parentPort, workerData as PushStart)
