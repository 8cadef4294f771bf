/**
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4), eight bytes a step ("slicing by 8", Intel 2006). Words are read as
 * the processor has them: little-endian, as all that Node runs on here.
 */
const reversedPolynomial = 0x82f63b78
const slices = 8
/** The table of slice n is at 256 n. */
const table = makeTable()

/** Of `count` words, an even number, from `at`; as a signed number. */
export function crc32cOfWords(words: Int32Array, at: number, count: number): number {
  let crc = -1
  for (const end = at + count; at < end; at += 2) {
    const low = crc ^ words[at]
    const high = words[at + 1]
    crc = table[1792 + (low & 0xff)] ^ table[1536 + ((low >>> 8) & 0xff)]
      ^ table[1280 + ((low >>> 16) & 0xff)] ^ table[1024 + (low >>> 24)]
      ^ table[768 + (high & 0xff)] ^ table[512 + ((high >>> 8) & 0xff)]
      ^ table[256 + ((high >>> 16) & 0xff)] ^ table[high >>> 24]
  }
  return ~crc
}

/** Of any bytes, more slowly. */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8)
  return ~crc
}

function makeTable(): Int32Array {
  const made = new Int32Array(256 * slices)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? reversedPolynomial : 0)
    made[byte] = crc
  }
  for (let at = 256; at < made.length; at++) {
    const crc = made[at - 256]
    made[at] = made[crc & 0xff] ^ (crc >>> 8)
  }
  return made
}
