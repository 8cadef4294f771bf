/** Shared by the tests of decoders: bytes that nobody wrote are refused by code, or mean one thing only. */
import { Buffer } from 'node:buffer'
import type { ExecutionContext } from 'ava'
import { HoldfastError } from '../../src/errors.ts'
import type { Random } from '../random.ts'

const codes = ['BAD_FORMAT', 'NEWER_VERSION', 'DAMAGED']

/** `encodeAgain` decodes and encodes what it found. */
export function checkMutants(t: ExecutionContext, random: Random, bytes: Buffer, count: number, encodeAgain: (bytes: Buffer) => Buffer): void {
  const wrong: string[] = []
  for (let times = 0; times < count; times += 1) {
    const mutant = random.mutated(bytes)
    const fault = faultOf(mutant, encodeAgain)
    if (fault !== null) wrong.push(`${fault}: ${mutant.toString('hex')}`)
  }
  t.deepEqual(wrong, [])
}

/** Random bytes behind a good beginning. */
export function checkNoise(t: ExecutionContext, random: Random, head: Buffer, count: number, encodeAgain: (bytes: Buffer) => Buffer): void {
  const wrong: string[] = []
  for (let times = 0; times < count; times += 1) {
    const noise = Buffer.concat([head, random.bytes(random.below(300))])
    const fault = faultOf(noise, encodeAgain)
    if (fault !== null) wrong.push(`${fault}: ${noise.toString('hex')}`)
  }
  t.deepEqual(wrong, [])
}

function faultOf(bytes: Buffer, encodeAgain: (bytes: Buffer) => Buffer): string | null {
  try {
    return encodeAgain(bytes).equals(bytes) ? null : 'has a second encoding'
  } catch (error) {
    return error instanceof HoldfastError && codes.includes(error.code) ? null : `threw ${String(error)}`
  }
}
