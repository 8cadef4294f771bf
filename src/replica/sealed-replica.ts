/**
 * A replica of an encrypted domain, as those see it who have its keys: batches of records and their intents, owners
 * and prefetch lists are sealed on their way there, and opened on their way back (crypto/sealed-object.ts). All else
 * passes: packs and index runs are fit to lie anywhere, `domain.json` and `keys.json` are read before there are keys.
 *
 * Owners and prefetch lists are bound to their places. A batch is put as an intent and gets its place by a rename, so
 * it is bound to nothing but to being one; of which image and epochs it is stands in it.
 */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { openObject, sealObject, sealedObjectBytes } from '../crypto/sealed-object.ts'
import type { Env } from '../env/env.ts'
import { epochBatchBytesMax, prefetchListBytesMax } from '../limits.ts'
import { epochsDirectory, intentsDirectory, ownerName, prefetchDirectory } from './layout.ts'
import { nameOf, joinPath } from './paths.ts'
import { readObject } from './read-object.ts'
import type {
  CallOptions, CloseOutcome, Copies, ObjectSource, OpenOptions, PutOptions, PutResult, ReadRange, Replica, ReplicaEntry,
  Usage,
} from './replica.ts'
import { CountedSource, sourceOf } from './source.ts'

/** Null where nothing is encrypted. Closing it closes the other one. */
export function unsealedReplica(env: Env, replica: Replica, keys: DomainKeys | null): Replica {
  return keys === null ? replica : new SealedReplica(env, replica, keys)
}

const sealedDirectories: readonly string[] = [epochsDirectory, intentsDirectory, prefetchDirectory]
const sealedBytesMax = Math.max(epochBatchBytesMax, prefetchListBytesMax) + sealedObjectBytes

class SealedReplica implements Replica {
  readonly url: string
  readonly #env: Env
  readonly #replica: Replica
  readonly #keys: DomainKeys

  constructor(env: Env, replica: Replica, keys: DomainKeys) {
    this.url = replica.url
    this.#env = env
    this.#replica = replica
    this.#keys = keys
  }

  async *list(directory: string, options?: CallOptions): AsyncIterable<ReplicaEntry> {
    for await (const entry of this.#replica.list(directory, options)) yield openedEntry(directory, entry)
  }

  async stat(path: string, options?: CallOptions): Promise<ReplicaEntry | null> {
    const entry = await this.#replica.stat(path, options)
    return entry && openedEntry(path, entry)
  }

  async *read(path: string, range: ReadRange = {}): AsyncIterable<Uint8Array> {
    if (!isSealed(path)) return yield* this.#replica.read(path, range)
    const { offset = 0, bytes = Infinity, ...options } = range
    const sealed = await readObject(this.#replica, path, sealedBytesMax, options)
    const plain = openObject(this.#keys, wordOf(path), sealed)
    yield plain.subarray(offset, Math.min(plain.length, offset + bytes))
  }

  async put(path: string, source: ObjectSource | Uint8Array, options?: PutOptions): Promise<PutResult> {
    if (!isSealed(path)) return this.#replica.put(path, source, options)
    // They are small, and sealed as a whole.
    const counted = new CountedSource(sourceOf(source))
    const pieces: Uint8Array[] = []
    for await (const piece of counted.pieces()) pieces.push(piece)
    await this.#replica.put(path, this.#seal(path, Buffer.concat(pieces)), options)
    return counted.result()
  }

  publish(directory: string, name: string, bytes: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#replica.publish(directory, name, this.#seal(joinPath(directory, name), bytes), options)
  }

  publishIntent(path: string, directory: string, name: string, options?: CallOptions): Promise<void> {
    return this.#replica.publishIntent(path, directory, name, options)
  }

  move(from: string, to: string, options?: CallOptions): Promise<void> {
    return this.#replica.move(from, to, options)
  }

  openGeneration(directory: string, name: string, bytes: Uint8Array, options?: OpenOptions): Promise<void> {
    return this.#replica.openGeneration(directory, name, this.#seal(joinPath(directory, name), bytes), options)
  }

  closeGeneration(directory: string, options?: CallOptions): Promise<CloseOutcome> {
    return this.#replica.closeGeneration(directory, options)
  }

  makeDirectory(path: string, options?: CallOptions): Promise<void> {
    return this.#replica.makeDirectory(path, options)
  }

  remove(path: string, options?: CallOptions): Promise<void> {
    return this.#replica.remove(path, options)
  }

  copies(path: string, options?: CallOptions): Promise<Copies> {
    return this.#replica.copies(path, options)
  }

  usage(options?: CallOptions): Promise<Usage> {
    return this.#replica.usage(options)
  }

  removeTemporaries(olderThanMs: number, options?: CallOptions): Promise<number> {
    return this.#replica.removeTemporaries(olderThanMs, options)
  }

  close(): Promise<void> {
    return this.#replica.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #seal(path: string, plain: Uint8Array): Uint8Array {
    if (!isSealed(path)) return plain
    return sealObject(this.#env, this.#keys, wordOf(path), plain)
  }
}

function isSealed(path: string): boolean {
  return sealedDirectories.includes(path.split('/', 1)[0])
}

/** What the object is bound to be. A generation's part is renamed when it is closed. */
function wordOf(path: string): string {
  const [place, key, generation] = path.split('/')
  if (place === prefetchDirectory) return path
  return place === epochsDirectory && nameOf(path) === ownerName ? `owner of ${key} ${generation}` : 'records'
}

function openedEntry(directory: string, entry: ReplicaEntry): ReplicaEntry {
  const isObject = entry.kind === 'object' && isSealed(directory)
  return isObject ? { ...entry, bytes: Math.max(0, entry.bytes - sealedObjectBytes) } : entry
}
