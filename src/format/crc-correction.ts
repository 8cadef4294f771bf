/**
 * Finds the one flipped bit that a CRC-32 tells of. The checksum is linear: a flipped bit changes it by a value that
 * depends on the bit's place alone, and, as the polynomial is primitive, no two places below 2^32 bits share one. So
 * the difference between what is stored and what is computed is walked back, byte by byte, until it is a single bit's.
 *
 * Any difference leads to some place with a chance of bits / 2^32: whoever mends bytes by this proves them by a
 * digest, or by what follows them.
 */

export interface FlippedBit {
  /** Bytes between the flipped one and the end of what the checksum covers. */
  readonly fromEnd: number
  readonly mask: number
}

const table = makeTable()
const byTopByte = Uint8Array.from({ length: 256 }, (_, top) => table.findIndex((entry) => entry >>> 24 === top))
const masksByChange = new Map(Array.from({ length: 8 }, (_, bit) => [table[1 << bit], 1 << bit]))

/** `difference` is the stored checksum XOR that of the `coveredBytes`; undefined where no single bit explains it. */
export function findFlippedBit(difference: number, coveredBytes: number): FlippedBit | undefined {
  let change = difference >>> 0
  for (let fromEnd = 0; fromEnd < coveredBytes; fromEnd++) {
    const mask = masksByChange.get(change)
    if (mask !== undefined) return { fromEnd, mask }
    const low = byTopByte[change >>> 24]
    change = (((change ^ table[low]) << 8) | low) >>> 0
  }
  return undefined
}

/** Whether the stored checksum itself, not what it covers, has the flipped bit. */
export function isChecksumFlipped(difference: number): boolean {
  return difference !== 0 && (difference & (difference - 1)) === 0
}

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
    return value >>> 0
  })
}
