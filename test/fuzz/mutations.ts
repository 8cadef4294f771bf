/** Bytes made a little wrong: in single bits, numbers, lengths, order. */
import { Buffer } from 'node:buffer'
import type { Random } from '../random.ts'

const numbers = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]
const bytesMax = 256 * 1024

export function mutated(random: Random, seed: Buffer, other: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(seed)
  for (let times = 1 + random.below(4); times > 0; times--) bytes = once(random, bytes, other)
  return bytes.subarray(0, bytesMax)
}

function once(random: Random, bytes: Buffer, other: Buffer): Buffer {
  const at = random.below(bytes.length + 1)
  const end = Math.min(bytes.length, at + random.below(64))
  switch (random.below(9)) {
    case 0: return flip(random, bytes, at)
    case 1: return overwrite(bytes, at, number(random, 4))
    case 2: return overwrite(bytes, at, number(random, 8))
    case 3: return bytes.subarray(0, at)
    case 4: return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)])
    case 5: return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)])
    case 6: return Buffer.concat([bytes.subarray(0, at), random.bytes(random.below(20)), bytes.subarray(at)])
    case 7: return overwrite(bytes, at, other.subarray(random.below(other.length + 1)).subarray(0, 64))
    default: return overwrite(bytes, at, Buffer.from([random.pick([0, 0x22, 0x2d, 0x7b, 0x5d, 0x0a, 0x2f, 0xff])]))
  }
}

function flip(random: Random, bytes: Buffer, at: number): Buffer {
  if (at < bytes.length) bytes[at] ^= 1 << random.below(8)
  return bytes
}

function overwrite(bytes: Buffer, at: number, source: Buffer): Buffer {
  source.copy(bytes, Math.min(at, bytes.length))
  return bytes
}

function number(random: Random, width: number): Buffer {
  const bytes = Buffer.alloc(width)
  const value = random.pick(numbers)
  if (random.below(2) === 0) bytes.writeUInt32LE(value, 0)
  else bytes.writeUInt32BE(value, width - 4)
  if (width === 8 && random.below(2) === 0) bytes.writeUInt32LE(random.pick(numbers), 4)
  return bytes
}
