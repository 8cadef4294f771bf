/** On how many replicas an epoch is known to be: from the notes of the replicator, which another thread writes. */
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { imageKey } from '../replica/layout.ts'
import { ReplicaRegistry } from '../replica/registry.ts'
import { type Fence, readFence } from './fence.ts'
import { ImageFiles } from './image-files.ts'

/** Of an epoch that there is, from the files alone. Errors: NOT_FOUND (its image), DAMAGED. */
export function replicasOf(
  env: Env, storeDirectory: string, image: string, number: number,
): { have: number; of: number } {
  const files = new ImageFiles(env, storeDirectory, image, null)
  return new ReplicaLevels(env, storeDirectory).of(files.identity().id, readFence(env, files.layout), number)
}

export class ReplicaLevels {
  readonly #env: Env
  readonly #directory: string
  readonly #registry: ReplicaRegistry
  readonly #read = new Map<string, { mtimeNs: bigint; value: unknown }>()

  constructor(env: Env, storeDirectory: string) {
    this.#env = env
    this.#directory = storeDirectory
    this.#registry = new ReplicaRegistry(env, storeDirectory)
  }

  /** Of an epoch of an image. An epoch before the fence of a fenced image is where the image was published. */
  of(imageId: Buffer, fence: Fence | null, number: number): { have: number; of: number } {
    const names = this.#cached('replicas.json', () => this.#registry.entries().map(({ name }) => name)) ?? []
    const isBefore = fence !== null && number <= fence.last
    const key = imageKey(imageId, isBefore ? fence.generations.slice(0, -1) : fence?.generations)
    const have = names.filter((name) => {
      const note = this.#cached(join('replicas', `${name}.json`), () => this.#registry.note(name))
      return (note?.images[key]?.published ?? -1) >= number
    })
    return { have: have.length, of: names.length }
  }

  /** What a file says, read again when it changed; undefined when there is none. */
  #cached<T>(name: string, read: () => T): T | undefined {
    const path = join(this.#directory, name)
    if (!this.#env.exists(path)) return undefined
    const { mtimeNs } = this.#env.stat(path)
    const known = this.#read.get(path)
    if (known?.mtimeNs === mtimeNs) return known.value as T
    const value = read()
    this.#read.set(path, { mtimeNs, value })
    return value
  }
}
