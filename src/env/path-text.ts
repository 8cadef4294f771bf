/**
 * Paths and names as text. What is UTF-8 stands as itself; any other byte stands as a lone surrogate, U+DC80 to
 * U+DCFF, which no UTF-8 decodes to: so each name has one text, and each text that came of a name leads back to
 * it (Python's `surrogateescape`, PEP 383).
 */
import { Buffer, isUtf8 } from 'node:buffer'

const escape = 0xdc00
/** Half of a pair is not meant: the flag makes a pair one character. */
const escaped = /[\udc80-\udcff]/u
const characterBytesMax = 4

export function pathText(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
  let text = ''
  for (let at = 0; at < bytes.length;) {
    const character = characterAt(bytes, at)
    text += character === null ? String.fromCharCode(escape + bytes[at]) : character.toString()
    at += character?.length ?? 1
  }
  return text
}

export function pathBytes(text: string): Buffer {
  if (!escaped.test(text)) return Buffer.from(text)
  return Buffer.concat([...text].map((character) =>
    escaped.test(character) ? Buffer.of(character.charCodeAt(0) - escape) : Buffer.from(character)))
}

/** What Node's calls take for a path; a string wherever that is enough. */
export function nodePath(text: string): string | Buffer {
  return escaped.test(text) ? pathBytes(text) : text
}

function characterAt(bytes: Buffer, at: number): Buffer | null {
  for (let length = 1; length <= characterBytesMax && at + length <= bytes.length; length += 1) {
    const character = bytes.subarray(at, at + length)
    if (isUtf8(character)) return character
  }
  return null
}
