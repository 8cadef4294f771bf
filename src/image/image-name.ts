/** What may be the name of an image: names are file names of the store and parts of addresses and URLs. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'
import { imageNameBytesMax } from '../limits.ts'

export function isImageName(name: string): boolean {
  return name.length > 0 && name.isWellFormed() && Buffer.byteLength(name) <= imageNameBytesMax &&
    !name.startsWith('.') && !/[/@:\u0000-\u001f\u007f]/.test(name)
}

/** Errors: BAD_NAME. */
export function checkImageName(name: string): string {
  if (!isImageName(name)) {
    throw new HoldfastError('BAD_NAME', `${JSON.stringify(name)} cannot be an image's name: use 1 to ` +
      `${imageNameBytesMax} bytes without / @ : or control characters, and no dot at the start`)
  }
  return name
}
