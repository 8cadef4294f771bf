/** Answers in JSON, looked at field by field: a server is not believed. */
import { HoldfastError } from '../../errors.ts'
import { isObjectName } from '../paths.ts'

export interface FileStatus {
  /** The inode's number: it keeps it through renames and nobody gets it again. */
  readonly fileId: number
  readonly kind: 'object' | 'directory' | 'other'
  readonly bytes: number
  readonly modifiedMs: number
  readonly name: string
}

/** Undefined when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    // Whoever asks says what that means.
    return undefined
  }
}

export class Json {
  readonly value: unknown
  readonly #place: string

  constructor(value: unknown, place: string) {
    this.value = value
    this.#place = place
  }

  /** Errors: REPLICA_FAULT. */
  field(name: string): Json {
    const { value } = this
    const isThere = typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name)
    if (!isThere) throw this.#fault(`has no ${name}`)
    return new Json((value as Record<string, unknown>)[name], `${this.#place}.${name}`)
  }

  /** A number of 0 to 2^53 - 1. Errors: REPLICA_FAULT. */
  count(): number {
    const { value } = this
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw this.#fault('is no count')
  }

  /** Errors: REPLICA_FAULT. */
  text(): string {
    if (typeof this.value === 'string') return this.value
    throw this.#fault('is no text')
  }

  /** Errors: REPLICA_FAULT. */
  flag(): boolean {
    if (typeof this.value === 'boolean') return this.value
    throw this.#fault('is neither true nor false')
  }

  /** Errors: REPLICA_FAULT. */
  items(): Json[] {
    if (!Array.isArray(this.value)) throw this.#fault('is no list')
    return this.value.map((item: unknown, at) => new Json(item, `${this.#place}[${at}]`))
  }

  #fault(what: string): HoldfastError {
    return new HoldfastError('REPLICA_FAULT', `the replica answers nonsense: ${this.#place} ${what}`)
  }
}

/** Errors: REPLICA_FAULT. */
export function fileStatus(json: Json): FileStatus {
  const type = json.field('type').text()
  const name = json.field('pathSuffix').text()
  if (name.includes('/') || name === '.' || name === '..') {
    throw new HoldfastError('REPLICA_FAULT', `the replica lists ${JSON.stringify(name.slice(0, 100))} as a name`)
  }
  return {
    fileId: json.field('fileId').count(),
    kind: type === 'FILE' ? 'object' : type === 'DIRECTORY' ? 'directory' : 'other',
    bytes: json.field('length').count(),
    modifiedMs: json.field('modificationTime').count(),
    name,
  }
}

/** What is of interest to callers: objects and directories with names of theirs. */
export function isListed({ name, kind }: FileStatus): boolean {
  return kind !== 'other' && isObjectName(name)
}
