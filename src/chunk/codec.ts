/**
 * Stored forms of a chunk: raw, LZ4, delta. `lz4-napi` writes the plain length before the block and trusts
 * it when it decodes (0xFFFFFFFF there took two seconds and all memory), so it is compared first.
 */
import { Buffer } from 'node:buffer'
import { compressSync, uncompressSync } from 'lz4-napi'
import { HoldfastError } from '../errors.ts'
import { deltaPoorBytes } from '../limits.ts'
import { xorInto, xorOf } from './xor.ts'

const lengthPrefixBytes = 4

/** LZ4 of the whole with its length before it, or undefined where that is no smaller. */
export function compressWhole(plain: Uint8Array): Buffer | undefined {
  return smallerThan(plain.length, compressSync(asBuffer(plain)))
}

/** LZ4 of plain XOR base, or undefined where that is no smaller than plain. */
export function compressDelta(plain: Uint8Array, base: Uint8Array): Buffer | undefined {
  return smallerThan(plain.length, compressSync(xorOf(plain, base)))
}

/** LZ4 of the whole is not worth its 200 us beside a good delta. */
export function isPoorDelta(payload: Uint8Array | undefined): boolean {
  return payload === undefined || payload.length > deltaPoorBytes
}

/** The plain bytes in a fresh buffer. Errors: DAMAGED. */
export function decompressWhole(payload: Buffer, plainBytes: number): Buffer {
  if (payload.length < lengthPrefixBytes || payload.readUInt32LE(0) !== plainBytes) {
    throw new HoldfastError('DAMAGED', 'a compressed chunk does not have the length its header says')
  }
  try {
    return checkedLength(uncompressSync(payload), plainBytes)
  } catch (error) {
    throw new HoldfastError('DAMAGED', 'a compressed chunk cannot be decoded', { cause: error })
  }
}

/** The plain bytes in a fresh buffer, from what `decompressWhole` gave of a delta, which is overwritten. */
export function applyDelta(difference: Buffer, base: Uint8Array): Buffer {
  xorInto(difference, base)
  return difference
}

function smallerThan(plainBytes: number, payload: Buffer): Buffer | undefined {
  return payload.length < plainBytes ? payload : undefined
}

function checkedLength(plain: Buffer, plainBytes: number): Buffer {
  if (plain.length !== plainBytes) throw new HoldfastError('DAMAGED', 'a compressed chunk decodes to another length')
  return plain
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
