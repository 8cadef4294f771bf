/**
 * The pushing thread: puts chunks of an epoch into the page cache of a mount that nobody uses yet. The kernel knows
 * their files: to look one up here would keep this process from being reaped when it is killed meanwhile. It serves no
 * requests, as a thread that stores pages must not, and reads the store through a reader of its own.
 */
import { Buffer } from 'node:buffer'
import { parentPort } from 'node:worker_threads'
import { systemEnv } from '../env/system.ts'
import { messageOf } from '../errors.ts'
import type { InodeRecord } from '../format/inode.ts'
import { decodeManifest } from '../format/manifest.ts'
import type { Manifest } from '../format/manifest.ts'
import { findPath } from '../image/paths.ts'
import { WaitingFetchClient } from '../image/remote/fetch-client.ts'
import { recordsOf } from '../image/remote/messages.ts'
import { get, NodeReader } from '../image/tree/index.ts'
import { chunkBytes, MIB } from '../limits.ts'
import { storePages } from '../mount/page-cache.ts'
import { openChunkReader } from '../store/open.ts'
import { BootFiles } from './boot-files.ts'
import type { FindRequest, PushAnswer, PushRequest, PushStart, ToPusher } from './push-messages.ts'

const env = systemEnv()
/** One notification takes a MiB. */
const runChunksMax = MIB / chunkBytes
/** What a thread holds in memory of fetched records is bounded; what comes behind is fetched one by one. */
const fetchedChunksMax = 512
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
      if (request.want === 'reserved') return this.#boot.reserve(inode)
      if (request.want === 'made') this.#hold(inode)
      return this.#boot.find(inode)
    })
  }

  #hold(inode: InodeRecord): void {
    this.#boot.hold(inode, () => {
      this.#fetch(inode.dataRoot, allChunks(Number(inode.size)))
      return this.#pieces(inode)
    })
  }

  push(request: PushRequest): number {
    const manifest = this.#manifest(request.manifest)
    const stop = new Int32Array(request.stop)
    let pushedBytes = 0
    for (const { path, chunks } of [...request.whole.map((path) => ({ path, chunks: null })), ...request.files]) {
      const { number, inode } = findPath(this.#nodes, manifest, path)
      const wanted = chunks ?? allChunks(Number(inode.size))
      this.#fetch(inode.dataRoot, wanted)
      for (const run of runsOf(wanted)) {
        if (Atomics.load(stop, 0) !== 0) return pushedBytes
        const pieces = run.map((chunk) => this.#piece(inode.dataRoot, chunk, Number(inode.size)))
        storePages(request.descriptor, number, run[0], 0, pieces.filter((piece) => piece.length > 0))
        pushedBytes += pieces.reduce((sum, piece) => sum + piece.length, 0)
      }
    }
    return pushedBytes
  }

  /** Together what has to come from replicas, not one after the other. */
  #fetch(dataRoot: Buffer | null, chunks: readonly number[]): void {
    if (this.#reader.source === undefined) return
    const first = chunks.slice(0, fetchedChunksMax)
    this.#reader.fetchAbsent(first.flatMap((chunk) => get(this.#nodes, dataRoot, chunk) ?? []))
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

async function serve({ port, directory, secret }: PushStart): Promise<void> {
  const reader = await openChunkReader(env, directory, undefined, secret)
  const pusher = new Pusher(reader)
  const answer = (message: PushAnswer): void => port.postMessage(message)
  port.on('message', (request: ToPusher) => {
    if (request === 'close') {
      port.close()
      return pusher.close()
    }
    if (request.type === 'source') {
      reader.source = new WaitingFetchClient(request.source)
      return
    }
    if (request.type === 'admit') return reader.admit(recordsOf(request.parcel))
    try {
      if (request.type === 'find') answer({ id: request.id, held: pusher.find(request) })
      else answer({ id: request.id, pushedBytes: pusher.push(request) })
    } catch (error) {
      answer({ id: request.id, error: messageOf(error) })
    }
  })
  answer({ id: 0 })
}

// The thread may have been started before the first machine.
parentPort?.once('message', (start: PushStart) => void serve(start))
