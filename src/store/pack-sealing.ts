/** What opens the records of a pack's file. */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { PackSeal } from '../crypto/pack-seal.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { type PackHeader, decodePackHeader, packHeaderBytes } from '../format/pack-header.ts'

/**
 * Null where nothing is encrypted. A header that cannot be read is no reason to give up the records: then `packId`,
 * from the file's name, stands in for it, and the newest key. Errors: KEY_NEEDED, NEWER_VERSION, IO.
 */
export function sealOfFile(env: Env, keys: DomainKeys | null, packId: Buffer, file: EnvFile): PackSeal | null {
  if (keys === null) return null
  const header = headerOf(file)
  return new PackSeal(env, keys, header?.packId ?? packId, header?.keyId || keys.keyId)
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
