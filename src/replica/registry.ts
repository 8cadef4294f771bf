/**
 * The replicas of a store, as it keeps them:
 *
 *   replicas.json           which there are: an owner's id `self` (32 hex digits, random, never used for another),
 *                           name, URL, which one is the authority, limit of bytes a second or null
 *   replicas/NAME.json      what is known to be on NAME: a note, made again by looking when it is gone
 *
 * One thread writes them; others read, and see the old file or the new one.
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { publishFile, readWhole } from '../env/publish.ts'
import { ensureDirectory } from '../env/tree.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { jsonText } from './json-text.ts'
import { noteBytesMax, registryBytesMax, replicasMax } from './limits.ts'

export interface ReplicaEntry {
  readonly name: string
  readonly url: string
  /** Decides who may write: its order of records is the history. One of the replicas is. */
  readonly isAuthority: boolean
  readonly self: string
  readonly bytesPerSecondMax: number | null
}

/** What a replica is known to have. */
export interface ReplicaNote {
  /** By the image's key: epochs up to this number, and the generation in which they were published. */
  readonly images: Readonly<Record<string, PublishedImage>>
  /** Packs of this store with lower numbers are there whole. */
  readonly packsFrom: number
  /** Packs that were put there again, under other names than their ids. */
  readonly aliases: Readonly<Record<string, string>>
  /** Records before this place are named by index runs. */
  readonly indexed: PackPlace
  /** What is before this place has been seen in enough places there. */
  readonly copied: PackPlace
}

export interface PublishedImage {
  readonly published: number
  readonly generation: number
}

export interface PackPlace {
  readonly pack: number
  readonly offset: number
}

export const emptyNote: ReplicaNote = Object.freeze({
  images: {}, packsFrom: 0, aliases: {}, indexed: { pack: 0, offset: 0 }, copied: { pack: 0, offset: 0 },
})

const registryVersion = 1
const noteVersion = 1

export class ReplicaRegistry {
  readonly #env: Env
  readonly #path: string
  readonly #notes: string

  constructor(env: Env, storeDirectory: string) {
    this.#env = env
    this.#path = join(storeDirectory, 'replicas.json')
    this.#notes = join(storeDirectory, 'replicas')
  }

  /** Whether the store has, or had, a replica. */
  isThere(): boolean {
    return this.#env.exists(this.#path)
  }

  /** In the order in which they were added. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION. */
  entries(): ReplicaEntry[] {
    if (!this.#env.exists(this.#path)) return []
    const bytes = Buffer.from(readWhole(this.#env, this.#path, registryBytesMax))
    const text = jsonText(bytes, { kind: 'replicas', versionMax: registryVersion, where: this.#path })
    const list = text.value('replicas')
    if (Array.isArray(list) && list.every(isEntry)) return list
    throw new HoldfastError('DAMAGED', `${this.#path} lists no replicas: remove it, and add them again`)
  }

  /** Errors: NOT_FOUND. */
  entry(name: string): ReplicaEntry {
    const found = this.entries().find((each) => each.name === name)
    if (found !== undefined) return found
    throw new HoldfastError('NOT_FOUND', `there is no replica ${name}: see 'holdfast replica list'`)
  }

  /** Durable on return. The first is the authority, whatever is said. Errors: as `checkNew`. */
  add(wanted: Omit<ReplicaEntry, 'self'>): ReplicaEntry {
    this.checkNew(wanted)
    const entries = this.entries()
    const entry = { ...wanted, isAuthority: entries.length === 0, self: this.#env.randomBytes(16).toString('hex') }
    this.#write([...entries, entry])
    return entry
  }

  /**
   * Whether a replica may be added. The authority cannot be another one while there are others: nodes that know the
   * old one would take over there, and this one would not hear of it. Errors: EXISTS, USAGE (too many), BUSY.
   */
  checkNew({ name, isAuthority }: Pick<ReplicaEntry, 'name' | 'isAuthority'>): void {
    const entries = this.entries()
    if (entries.some((each) => each.name === name)) {
      throw new HoldfastError('EXISTS', `there is a replica ${name} already: choose another name`)
    }
    if (entries.length >= replicasMax) throw new HoldfastError('USAGE', `a store has at most ${replicasMax} replicas`)
    const authority = entries.find((each) => each.isAuthority)
    if (!isAuthority || authority === undefined) return
    const remedy = 'remove all replicas here and on the other nodes (what is there stays there), and add this one first'
    throw new HoldfastError('BUSY', `${authority.name} decides who may write, for all nodes: to change that, ${remedy}`)
  }

  /** Durable on return. Errors: NOT_FOUND, BUSY (the authority, while there are others). */
  remove(name: string): ReplicaEntry {
    const entry = this.entry(name)
    const others = this.entries().filter((each) => each.name !== name)
    if (entry.isAuthority && others.length > 0) {
      throw new HoldfastError('BUSY', `${name} decides who may write: remove the other replicas first`)
    }
    this.#write(others)
    if (this.#env.exists(this.#noteOf(name))) this.#env.unlink(this.#noteOf(name))
    return entry
  }

  /** The empty one where there is none or it cannot be read. */
  note(name: string): ReplicaNote {
    try {
      const bytes = Buffer.from(readWhole(this.#env, this.#noteOf(name), noteBytesMax))
      const text = jsonText(bytes, { kind: 'replica note', versionMax: noteVersion, where: this.#noteOf(name) })
      const note = text.value('note')
      return isNote(note) ? note : emptyNote
    } catch (error) {
      if (isCode(error, 'NOT_FOUND', 'BAD_FORMAT', 'DAMAGED', 'NEWER_VERSION')) return emptyNote
      throw error
    }
  }

  /** Not synced: what a crash takes is found out again. */
  saveNote(name: string, note: ReplicaNote): void {
    ensureDirectory(this.#env, this.#notes)
    const fields = { holdfast: 'replica note', version: noteVersion, note }
    const path = this.#noteOf(name)
    {
      using file = this.#env.open(`${path}.tmp`, 'create')
      file.truncate(0)
      file.write(Buffer.from(`${JSON.stringify(fields)}\n`), 0)
    }
    this.#env.rename(`${path}.tmp`, path)
  }

  #noteOf(name: string): string {
    return join(this.#notes, `${name}.json`)
  }

  #write(replicas: readonly ReplicaEntry[]): void {
    const fields = { holdfast: 'replicas', version: registryVersion, replicas }
    publishFile(this.#env, this.#path, Buffer.from(`${JSON.stringify(fields, null, 2)}\n`))
  }
}

function isEntry(value: unknown): value is ReplicaEntry {
  const { name, url, isAuthority, self, bytesPerSecondMax } = fieldsOf(value)
  return typeof name === 'string' && /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(name) && typeof url === 'string' &&
    typeof isAuthority === 'boolean' && typeof self === 'string' && /^[0-9a-f]{32}$/.test(self) &&
    (bytesPerSecondMax === null || isCount(bytesPerSecondMax))
}

function isNote(value: unknown): value is ReplicaNote {
  const { images, packsFrom, aliases, indexed, copied } = fieldsOf(value)
  return isCount(packsFrom) && isPlace(indexed) && isPlace(copied) && typeof images === 'object' &&
    images !== null && Object.values(fieldsOf(aliases)).every((each) => typeof each === 'string') &&
    Object.values(images).every((each) => {
      const { published, generation } = fieldsOf(each)
      return Number.isSafeInteger(published) && isCount(generation)
    })
}

function isPlace(value: unknown): boolean {
  const { pack, offset } = fieldsOf(value)
  return isCount(pack) && isCount(offset)
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
