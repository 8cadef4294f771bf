/** Takes records that lie on replicas out of the seals of their packs. */
import type { Buffer } from 'node:buffer'
import type { DomainKeys } from '../../crypto/domain-keys.ts'
import { PackSeal, unsealedRecord } from '../../crypto/pack-seal.ts'
import type { Env } from '../../env/env.ts'
import { isCode } from '../../errors.ts'
import type { RunEntry } from '../../format/index-run.ts'
import { readRecordHeader, recordBytesOf } from '../../format/pack-record.ts'

/** Packs whose key is remembered. */
const packsMax = 4096

export class RecordOpener {
  readonly #env: Env
  readonly #keys: DomainKeys | null
  /** By the pack's id: what opened a record of it. */
  readonly #seals = new Map<string, PackSeal>()

  constructor(env: Env, keys: DomainKeys | null) {
    this.#env = env
    this.#keys = keys
  }

  /** The record as it is without a seal; undefined where the bytes are not what was sealed at that place. */
  open(entry: RunEntry, bytes: Buffer): Buffer | undefined {
    if (this.#keys === null) return bytes
    const header = readRecordHeader(bytes, 0)
    if (header === undefined || recordBytesOf(header) !== bytes.length) return undefined
    for (const seal of this.#sealsOf(this.#keys, entry.packId)) {
      try {
        const record = unsealedRecord(seal, bytes, header, entry.place.offset)
        this.#remember(entry.packId, seal)
        return record
      } catch (error) {
        if (!isCode(error, 'DAMAGED')) throw error
      }
    }
    return undefined
  }

  /**
   * The number of a pack's data key stands in its header, which nobody reads for one record. There are few keys, and
   * only the right one opens anything.
   */
  *#sealsOf(keys: DomainKeys, packId: Buffer): Generator<PackSeal> {
    const known = this.#seals.get(packId.toString('hex'))
    if (known !== undefined) yield known
    for (const keyId of [...keys.ring.dataKeys.keys()].sort((left, right) => right - left)) {
      if (keyId !== known?.keyId) yield new PackSeal(this.#env, keys, packId, keyId)
    }
  }

  #remember(packId: Buffer, seal: PackSeal): void {
    this.#seals.set(packId.toString('hex'), seal)
    if (this.#seals.size > packsMax) this.#seals.delete(this.#seals.keys().next().value ?? '')
  }
}
