/**
 * Bytes of packs on a replica, wherever they lie: in the whole pack or in ranges of it, which are replaced by the whole
 * at any moment.
 */
import { Buffer } from 'node:buffer'
import { HoldfastError, isCode } from '../errors.ts'
import { packBytesMax } from '../limits.ts'
import { type PackRange, packsDirectory, parseRangeName, rangeName, wholeName } from './layout.ts'
import { listEntries, listNames } from './list-names.ts'
import { joinPath } from './paths.ts'
import { readRange } from './read-object.ts'
import type { CallOptions, Replica } from './replica.ts'

/** A part of an object, and the object's name. */
interface Piece {
  readonly path: string
  readonly offset: number
  readonly bytes: number
}

/** What a pack's directory held when it was listed; the whole pack is a range, too. */
type Listing = readonly (PackRange & { readonly path: string })[]

const listingsMax = 1024

export class PackReader {
  readonly #replica: Replica
  readonly #listings = new Map<string, Promise<Listing>>()

  constructor(replica: Replica) {
    this.#replica = replica
  }

  /** Errors: NOT_FOUND (the replica does not have these bytes), DAMAGED, those of every call. */
  async read(packId: Buffer, offset: number, bytes: number, options?: CallOptions): Promise<Buffer> {
    const key = packId.toString('hex')
    const isFresh = !this.#listings.has(key)
    const pieces = piecesOf(await this.#listing(packId, options), offset, bytes)
    try {
      if (pieces !== null) return await this.#join(pieces, options)
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND')) throw error
    }
    this.#listings.delete(key)
    const again = isFresh && pieces === null ? null : piecesOf(await this.#listing(packId, options), offset, bytes)
    if (again !== null) return this.#join(again, options)
    throw new HoldfastError('NOT_FOUND', `${this.#replica.url} lacks ${bytes} bytes at ${offset} of pack ${key}`)
  }

  async #join(pieces: readonly Piece[], options?: CallOptions): Promise<Buffer> {
    const parts = await Promise.all(pieces.map(({ path, offset, bytes }) => {
      return readRange(this.#replica, path, { offset, bytes }, options)
    }))
    return parts.length === 1 ? parts[0] : Buffer.concat(parts)
  }

  #listing(packId: Buffer, options?: CallOptions): Promise<Listing> {
    const key = packId.toString('hex')
    const known = this.#listings.get(key)
    if (known !== undefined) return known
    const listing = listPack(this.#replica, key, options)
    this.#listings.set(key, listing)
    listing.catch(() => this.#listings.delete(key))
    if (this.#listings.size > listingsMax) this.#listings.delete(this.#listings.keys().next().value ?? '')
    return listing
  }
}

/** A pack that a collector was about to remove was uploaded again, beside the first, with a suffix to its name. */
async function listPack(replica: Replica, key: string, options?: CallOptions): Promise<Listing> {
  const first = await list(replica, joinPath(packsDirectory, key), options)
  if (first.length > 0) return first
  const again = (await listNames(replica, packsDirectory, options)).filter((name) => name.startsWith(`${key}.`))
  return (await Promise.all(again.map((name) => list(replica, joinPath(packsDirectory, name), options)))).flat()
}

async function list(replica: Replica, directory: string, options?: CallOptions): Promise<Listing> {
  const found: (PackRange & { path: string })[] = []
  for (const { name, bytes } of await listEntries(replica, directory, options)) {
    const range = name === wholeName ? { offset: 0, bytes } : parseRangeName(name)
    if (range === undefined || range.offset + range.bytes > packBytesMax) continue
    found.push({ path: joinPath(directory, name === wholeName ? name : rangeName(range)), ...range })
  }
  return found
}

/** Few and large ones; null where the listing does not have it all. */
function piecesOf(listing: Listing, offset: number, bytes: number): Piece[] | null {
  const pieces: Piece[] = []
  const end = offset + bytes
  for (let at = offset; at < end;) {
    let best: Listing[number] | undefined
    for (const each of listing) {
      const reaches = each.offset <= at && each.offset + each.bytes > at
      if (reaches && (best === undefined || each.offset + each.bytes > best.offset + best.bytes)) best = each
    }
    if (best === undefined) return null
    const stop = Math.min(end, best.offset + best.bytes)
    pieces.push({ path: best.path, offset: at - best.offset, bytes: stop - at })
    at = stop
  }
  return pieces
}
