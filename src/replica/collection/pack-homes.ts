/** Whose packs those on a replica are, and how large: a pack says in its header which store wrote it. */
import { isCode } from '../../errors.ts'
import { decodePackHeader, packHeaderBytes } from '../../format/pack-header.ts'
import { packsDirectory, parseRangeName, wholeName } from '../layout.ts'
import { listEntries } from '../list-names.ts'
import { joinPath } from '../paths.ts'
import { readRange } from '../read-object.ts'
import type { CallOptions, Replica } from '../replica.ts'

export class PackHomes {
  readonly #replica: Replica
  readonly #storeId: Buffer
  /** By the name there. What cannot be read may be anybody's, and is asked for again. */
  readonly #isOurs = new Map<string, boolean>()

  constructor(replica: Replica, storeId: Buffer) {
    this.#replica = replica
    this.#storeId = storeId
  }

  /** Whether this store wrote it. False also where that cannot be told. Errors: those of every call. */
  async isOurs(pack: string, call: CallOptions): Promise<boolean> {
    const known = this.#isOurs.get(pack)
    if (known !== undefined) return known
    const storeId = await this.#storeOf(pack, call)
    if (storeId !== null) this.#isOurs.set(pack, storeId.equals(this.#storeId))
    return storeId?.equals(this.#storeId) ?? false
  }

  /** Names of those that this store did not write. */
  async others(packs: Iterable<string>, call: CallOptions): Promise<string[]> {
    const others: string[] = []
    for (const pack of packs) if (!await this.isOurs(pack, call)) others.push(pack)
    return others
  }

  /** Bytes of all objects of a pack; 0 where there is none. */
  async bytes(pack: string, call: CallOptions): Promise<number> {
    const objects = await listEntries(this.#replica, joinPath(packsDirectory, pack), call)
    return objects.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  async #storeOf(pack: string, call: CallOptions): Promise<Buffer | null> {
    const isFirst = (name: string): boolean => name === wholeName || parseRangeName(name)?.offset === 0
    const objects = await listEntries(this.#replica, joinPath(packsDirectory, pack), call)
    const first = objects.find(({ name }) => isFirst(name))
    if (first === undefined) return null
    try {
      const path = joinPath(joinPath(packsDirectory, pack), first.name)
      const header = await readRange(this.#replica, path, { offset: 0, bytes: packHeaderBytes }, call)
      return Buffer.from(decodePackHeader(header).storeId)
    } catch (error) {
      if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT', 'NEWER_VERSION')) return null
      throw error
    }
  }
}
