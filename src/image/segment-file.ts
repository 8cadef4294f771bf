/** One lane's file of a segment of the log, as whoever reads it opens it. */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import { SegmentSeal } from '../crypto/segment-seal.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { openStored } from '../env/stored.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { decodeSegmentHeader, segmentHeaderBytes } from '../format/log.ts'
import type { SegmentHeader } from '../format/log.ts'
import { SegmentBytes } from './segment-bytes.ts'

/** Null where there is none. Errors: IO. */
export function openSegment(env: Env, path: string): EnvFile | null {
  try {
    return openStored(env, path, 'read')
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return null
    throw error
  }
}

/** Null where it is not whole, or a crash left none. Errors: DAMAGED, NEWER_VERSION, IO. */
export function readSegmentHeader(file: EnvFile): SegmentHeader | null {
  const bytes = Buffer.alloc(segmentHeaderBytes)
  return file.read(bytes, 0) === segmentHeaderBytes ? decodeSegmentHeader(bytes) : null
}

export function strangeSegment(file: EnvFile): HoldfastError {
  return new HoldfastError('DAMAGED', `${file.path} is not the log's own: move it away, and open the image again`)
}

/** `keys` are null where nothing is encrypted. Errors: KEY_NEEDED, DAMAGED. */
export function segmentContent(file: EnvFile, { keyId, salt }: SegmentHeader, keys: DomainKeys | null): SegmentBytes {
  if ((keys === null) !== (keyId === 0)) {
    const how = keyId === 0 ? 'not sealed' : 'sealed'
    throw new HoldfastError('DAMAGED', `${file.path} is ${how}, unlike the files of this store: move it away`)
  }
  if (keys === null) return new SegmentBytes(file, null)
  const header = Buffer.alloc(segmentHeaderBytes)
  file.read(header, 0)
  return new SegmentBytes(file, new SegmentSeal(keys, keyId, salt, header))
}
