/** One decoder under fire: bytes go in; what comes out is a value or an error with a code. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'

export interface FuzzTarget {
  readonly name: string
  readonly seeds: readonly Buffer[]
  /** Throws for anything but a coded error of its room; may take a moment. */
  run(bytes: Buffer): void | Promise<void>
  /** Makes checksums right again, so that what lies behind them is reached, too. */
  reseal?(bytes: Buffer): void
  /** The largest buffer that it may ask for, beyond what it was given. */
  readonly extraBytesMax?: number
}

/** Inputs kept in the tree: `corpus/NAME.txt`, one a line, with escapes as in JSON; `corpus/NAME.hex` likewise. */
export function corpusOf(name: string): Buffer[] {
  const text = linesOf(`${name}.txt`).map((line) => Buffer.from(JSON.parse(`"${line}"`) as string))
  return [...text, ...linesOf(`${name}.hex`).map((line) => Buffer.from(line, 'hex'))]
}

export function golden(file: string): Buffer {
  return fs.readFileSync(join(import.meta.dirname, '../golden', file))
}

function linesOf(file: string): string[] {
  const path = join(import.meta.dirname, 'corpus', file)
  return fs.existsSync(path) ? fs.readFileSync(path, 'utf8').split('\n').filter((line) => line !== '') : []
}
