/** Small JSON objects of ours on a replica: what they are, which version, and fields that are checked. */
import { Buffer } from 'node:buffer'
import { HoldfastError } from '../errors.ts'

export interface Expected {
  /** What `holdfast` says. */
  readonly kind: string
  readonly versionMax: number
  /** For messages. */
  readonly where: string
}

/** Errors: BAD_FORMAT, NEWER_VERSION, DAMAGED. */
export function jsonText(bytes: Buffer, { kind, versionMax, where }: Expected): JsonText {
  const fields = parse(bytes, where)
  if (fields.holdfast !== kind) throw new HoldfastError('BAD_FORMAT', `${where} is not one of Holdfast's`)
  const text = new JsonText(fields, where)
  if (text.count('version') > versionMax) {
    throw new HoldfastError('NEWER_VERSION', `${where} was written by a newer Holdfast: use that one`)
  }
  return text
}

export class JsonText {
  readonly #fields: Record<string, unknown>
  readonly #where: string

  constructor(fields: Record<string, unknown>, where: string) {
    this.#fields = fields
    this.#where = where
  }

  hex(name: string, bytes: number): Buffer {
    const value = this.text(name)
    if (value.length !== 2 * bytes || !/^[0-9a-f]*$/.test(value)) throw this.#damaged(name)
    return Buffer.from(value, 'hex')
  }

  /** A whole number from 0. */
  count(name: string): number {
    const value = this.#fields[name]
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw this.#damaged(name)
    return value
  }

  text(name: string): string {
    const value = this.#fields[name]
    if (typeof value !== 'string') throw this.#damaged(name)
    return value
  }

  /** Whatever is there. */
  value(name: string): unknown {
    return this.#fields[name]
  }

  #damaged(name: string): HoldfastError {
    return new HoldfastError('DAMAGED', `${this.#where} has no proper ${name}`)
  }
}

function parse(bytes: Buffer, where: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch (error) {
    throw new HoldfastError('BAD_FORMAT', `${where} is no JSON`, { cause: error })
  }
  throw new HoldfastError('BAD_FORMAT', `${where} is no JSON object`)
}
