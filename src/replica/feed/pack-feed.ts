/**
 * Brings packs to a replica: what is there of each is found out once and then known. Of a pack that is still open the
 * new bytes go as a range; a closed one goes whole where nothing is there yet, else its whole comes later
 * (`settle`), when nobody waits, and the ranges go at the next settling, when readers have long seen the whole.
 *
 * What is there and is not the beginning of the pack here was put by a copy of this store, or by this store before it
 * was put back from an older copy: it is left alone, and nothing is put beside it.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import { pieceBytes } from '../limits.ts'
import { type PackRange, packsDirectory, parseRangeName, rangeName, wholeName } from '../layout.ts'
import type { LocalPack, Outbox } from '../outbox.ts'
import { joinPath } from '../paths.ts'
import type { CallOptions, ObjectSource, PutOptions, Replica } from '../replica.ts'
import { type Presence, listPack, prefixOf, presenceOf } from './pack-presence.ts'

/** By the id of a pack: what it is called on the replica after it was replaced there. */
export type PackAliases = Readonly<Record<string, string>>

export interface PackFeedParts {
  readonly env: Env
  readonly replica: Replica
  /** As of the last run. */
  readonly aliases: PackAliases
  readonly saveAliases: (aliases: PackAliases) => void
  readonly outbox: Pick<Outbox, 'entries'>
}

export class PackFeed {
  readonly #env: Env
  readonly #replica: Replica
  readonly #outbox: Pick<Outbox, 'entries'>
  readonly #saveAliases: (aliases: PackAliases) => void
  #aliases: PackAliases
  /** By the name on the replica. */
  readonly #known = new Map<string, Presence>()
  /** Wholes that were put, whose ranges are still there. */
  readonly #doubled = new Set<string>()

  constructor({ env, replica, outbox, aliases, saveAliases }: PackFeedParts) {
    this.#env = env
    this.#replica = replica
    this.#outbox = outbox
    this.#aliases = aliases
    this.#saveAliases = saveAliases
  }

  /** What a pack is called on the replica. */
  nameOf(pack: LocalPack): string {
    const id = pack.packId.toString('hex')
    return this.#aliases[id] ?? id
  }

  /** Brings packs again, under new names, as a collector may take the old ones away. Errors: as `bring`. */
  async replace(packs: readonly LocalPack[], attempt: string, options: CallOptions): Promise<void> {
    const renamed = packs.map((pack) => [pack.packId.toString('hex'), `${pack.packId.toString('hex')}.${attempt}`])
    this.#aliases = { ...this.#aliases, ...Object.fromEntries(renamed) as PackAliases }
    this.#saveAliases(this.#aliases)
    for (const pack of packs) await this.bring(pack, options)
  }

  /**
   * The pack is there, up to its bytes. Returns the bytes sent. Errors: NOT_FOUND (the pack left this store), FENCED
   * (what is there is not this store's).
   */
  async bring(pack: LocalPack, options: CallOptions): Promise<number> {
    const presence = await this.#presence(pack, options)
    if (isSettled(presence) || presence.prefixBytes >= pack.bytes) return 0
    if (pack.isClosed && presence.prefixBytes === 0) return this.#putWhole(pack, presence, options)
    const range = { offset: presence.prefixBytes, bytes: pack.bytes - presence.prefixBytes }
    await this.#put(pack, rangeName(range), range, options)
    presence.ranges.push(rangeName(range))
    presence.prefixBytes = pack.bytes
    return range.bytes
  }

  /** Whether all that was brought of a pack is there still; of a whole one its directory tells. */
  async holds(pack: LocalPack, options: CallOptions): Promise<boolean> {
    const name = this.nameOf(pack)
    const brought = this.#known.get(name)
    if (brought === undefined || (brought.isWhole && brought.ranges.length === 0)) return true
    const { wholeBytes, ranges } = await listPack(this.#replica, this.#directory(pack), options)
    return wholeBytes === pack.bytes || prefixOf(ranges) >= brought.prefixBytes
  }

  /**
   * Makes one name of many for a pack that is closed and there. Returns the bytes sent. Errors: as `bring`: the ranges
   * are looked at once more, as a copy of this store may have put some.
   */
  async settle(pack: LocalPack, options: CallOptions): Promise<number> {
    const presence = await this.#presence(pack, options)
    if (isSettled(presence) || !pack.isClosed) return 0
    if (presence.ranges.length > 0) await this.#look(pack, options)
    return this.#putWhole(pack, presence, options)
  }

  /** Paths of what is there of a pack's bytes from `offset` on. */
  async objects(pack: LocalPack, offset: number, options: CallOptions): Promise<string[]> {
    const { isWhole, ranges } = await this.#presence(pack, options)
    const isWanted = (name: string): boolean => {
      const range = parseRangeName(name)
      return range !== undefined && range.offset + range.bytes > offset
    }
    const directory = this.#directory(pack)
    return (isWhole ? [wholeName] : ranges.filter(isWanted)).map((name) => joinPath(directory, name))
  }

  /** Paths of the wholes whose ranges go at the next tidying. */
  doubled(): string[] {
    return [...this.#doubled].map((name) => joinPath(joinPath(packsDirectory, name), wholeName))
  }

  /** Removes the ranges that an earlier settling made superfluous. */
  async tidy(options: CallOptions): Promise<void> {
    for (const id of [...this.#doubled]) {
      const presence = this.#known.get(id)
      for (const name of presence?.ranges ?? []) {
        await this.#replica.remove(joinPath(joinPath(packsDirectory, id), name), options)
      }
      if (presence !== undefined) presence.ranges = []
      this.#doubled.delete(id)
    }
  }

  /** What is known is found out again. */
  forget(): void {
    this.#aliases = {}
    this.#known.clear()
    this.#doubled.clear()
  }

  /** That there is nothing more to be known of it: all of it is there, for good. */
  isSettled(pack: LocalPack): boolean {
    const known = this.#known.get(this.nameOf(pack))
    return known !== undefined && isSettled(known)
  }

  async #putWhole(pack: LocalPack, presence: Presence, options: CallOptions): Promise<number> {
    await this.#put(pack, wholeName, { offset: 0, bytes: pack.bytes }, options)
    presence.isWhole = true
    if (presence.ranges.length > 0) this.#doubled.add(this.nameOf(pack))
    return pack.bytes
  }

  /** A name that is there already was put by an earlier run of ours: that is seen from its bytes. */
  async #put(pack: LocalPack, name: string, range: PackRange, options: CallOptions): Promise<void> {
    const directory = this.#directory(pack)
    const source = { bytes: range.bytes, open: () => piecesOf(this.#env, pack.path, range) }
    try {
      await putIn(this.#replica, directory, name, source, options)
    } catch (error) {
      if (!isCode(error, 'EXISTS')) throw error
      const { isWhole, prefixBytes } = await this.#look(pack, options)
      if (!isWhole && prefixBytes < range.offset + range.bytes) throw error
    }
  }

  async #presence(pack: LocalPack, options: CallOptions): Promise<Presence> {
    const id = this.nameOf(pack)
    const known = this.#known.get(id) ?? await this.#look(pack, options)
    this.#known.set(id, known)
    if (known.isWhole && !known.hasMore && known.ranges.length > 0) this.#doubled.add(id)
    return known
  }

  #look(pack: LocalPack, options: CallOptions): Promise<Presence> {
    const [env, replica, outbox] = [this.#env, this.#replica, this.#outbox]
    return presenceOf({ env, replica, outbox, pack, directory: this.#directory(pack) }, options)
  }

  #directory(pack: LocalPack): string {
    return joinPath(packsDirectory, this.nameOf(pack))
  }
}

function isSettled({ isWhole, hasMore }: Presence): boolean {
  return isWhole || hasMore
}

/** Puts an object into a directory that is made when it turns out to be missing. Errors: EXISTS, those of a put. */
export async function putIn(
  replica: Replica, directory: string, name: string, source: ObjectSource | Uint8Array, options: PutOptions,
): Promise<void> {
  const path = joinPath(directory, name)
  try {
    await replica.put(path, source, options)
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND') || await replica.stat(directory, options) !== null) throw error
    // Not the root: a disk that is not mounted must not be filled in its place.
    if (await replica.stat('', options) === null) throw error
    await replica.makeDirectory(directory, options)
    await replica.put(path, source, options)
  }
}

function* piecesOf(env: Env, path: string, { offset, bytes }: PackRange): Generator<Uint8Array> {
  using file = env.open(path, 'read')
  for (let at = offset; at < offset + bytes;) {
    // All of it is read over: zeros would be written for nothing.
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, offset + bytes - at))
    const count = file.read(piece, at)
    if (count === 0) throw new HoldfastError('DAMAGED', `${path} is shorter than it was: run check`)
    yield piece.subarray(0, count)
    at += count
  }
}
