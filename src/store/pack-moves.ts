/** Whole packs that come, fetched from a replica. A pack is named and synced before the index points into it. */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import type { RecordLocation } from '../format/keys.ts'
import type { PackFooter } from '../format/pack-footer.ts'
import { type PackHeader, decodePackHeader, packHeaderBytes } from '../format/pack-header.ts'
import { type IndexOperation, type PackIndex, putRecord } from './pack-index.ts'
import { readFooter } from './pack-scan.ts'
import type { PackInfo, PackSet } from './pack-set.ts'

const batchRecords = 4096

export interface PackMove {
  readonly env: Env
  readonly packs: PackSet
  readonly index: PackIndex
}

/**
 * `path` is a complete pack on the store's file system, in `tmp/`; it is renamed. A pack that is there already
 * (by its id) is kept and the file removed. Errors: BAD_FORMAT, NEWER_VERSION, WRONG_DOMAIN, DAMAGED, IO.
 */
export async function adoptPack({ env, packs, index }: PackMove, path: string): Promise<PackInfo> {
  const { header, footer } = examine(env, path)
  refuseForeign(packs.keys, header)
  const present = packs.packs().find(({ packId }) => packId.equals(header.packId))
  if (present !== undefined) {
    env.unlink(path)
    return present
  }
  const pack = packs.adopt(path, header, footer)
  let operations: IndexOperation[] = []
  for (let at = 0; at < footer.count; at++) {
    const location = { packNumber: pack.number, ...footer.place(at) }
    const id = Buffer.from(footer.id(at))
    if (!isHeld(packs, index.locate(id, location.depth))) operations.push(putRecord(id, location))
    if (operations.length < batchRecords) continue
    await index.write(operations)
    operations = []
  }
  await index.write(operations)
  return pack
}

/** A pack of a store with other keys, or with keys where here are none, can never be read. */
function refuseForeign(keys: DomainKeys | null, { domainId, keyId }: PackHeader): void {
  if (keys === null ? keyId === 0 : keyId !== 0 && domainId.equals(keys.domainId)) return
  throw new HoldfastError('WRONG_DOMAIN', 'the pack belongs to stores with other keys: fetch it into one of those')
}

function examine(env: Env, path: string): { header: PackHeader; footer: PackFooter } {
  using file = env.open(path, 'read')
  const bytes = Buffer.alloc(packHeaderBytes)
  const header = decodePackHeader(bytes.subarray(0, file.read(bytes, 0)))
  const footer = readFooter(file)
  if (footer === undefined) throw new HoldfastError('DAMAGED', `${path} has no sound footer: fetch it again`)
  file.sync()
  return { header, footer }
}

function isHeld(packs: PackSet, location: RecordLocation | undefined): boolean {
  return location !== undefined && packs.reaches(location.packNumber, location.offset + location.recordBytes)
}
