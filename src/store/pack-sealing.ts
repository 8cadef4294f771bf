/** What opens the records of a pack's file. */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { PackSeal, payloadOf } from '../crypto/pack-seal.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { type PackHeader, decodePackHeader, packHeaderBytes } from '../format/pack-header.ts'
import { type ScannedRecord, scanRecords } from './pack-scan.ts'

/**
 * Null where nothing is encrypted. A header that cannot be read is no reason to give up the records: then `packId`,
 * from the file's name, stands in for it, and the key that opens one of them. Errors: KEY_NEEDED, NEWER_VERSION, IO.
 */
export function sealOfFile(env: Env, keys: DomainKeys | null, packId: Buffer, file: EnvFile): PackSeal | null {
  if (keys === null) return null
  const header = headerOf(file)
  if (header !== undefined) return new PackSeal(env, keys, header.packId, header.keyId || keys.keyId)
  const newestFirst = [...keys.ring.dataKeys.keys()].sort((left, right) => right - left)
  return provenSeal(file, newestFirst.map((keyId) => new PackSeal(env, keys, packId, keyId)))
}

/**
 * The seal that opens a record; the first where none does. Were the newest key taken for the one, all records would
 * count as bad, and the key that opens them would be given up when keys are changed.
 */
function provenSeal(file: EnvFile, seals: readonly PackSeal[]): PackSeal {
  if (seals.length === 1) return seals[0]
  for (const found of scanRecords(file, packHeaderBytes, file.size())) {
    const seal = found.type === 'gap' ? undefined : seals.find((each) => opens(each, found))
    if (seal !== undefined) return seal
  }
  return seals[0]
}

function opens(seal: PackSeal, { bytes, header, offset }: ScannedRecord): boolean {
  try {
    payloadOf(seal, bytes, header, offset)
    return true
  } catch (error) {
    if (!isCode(error, 'DAMAGED')) throw error
    return false
  }
}

function headerOf(file: EnvFile): PackHeader | undefined {
  const bytes = Buffer.alloc(packHeaderBytes)
  try {
    return decodePackHeader(bytes.subarray(0, file.read(bytes, 0)))
  } catch (error) {
    if (isCode(error, 'DAMAGED', 'BAD_FORMAT')) return undefined
    throw error
  }
}
