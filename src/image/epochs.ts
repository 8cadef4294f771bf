/** Epochs as verbs show them: addresses, summaries, and the side file with what is not identity. */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { readWhole } from '../env/publish.ts'
import { openStored } from '../env/stored.ts'
import { HoldfastError, isCode } from '../errors.ts'
import type { StoredEpoch } from '../format/epoch.ts'
import { MIB } from '../limits.ts'
import type { ImageFiles } from './image-files.ts'
import { checkImageName } from './image-name.ts'
import type { EpochSummary } from './types.ts'

/** Splits `IMAGE@N`. Errors: USAGE. */
export function parseAddress(address: string): { image: string; number: number } {
  const match = /^([^@]+)@(\d{1,15})$/.exec(address)
  if (match === null) throw new HoldfastError('USAGE', `${address} is not an epoch: write IMAGE@NUMBER, as in vm1@3`)
  return { image: checkImageName(match[1]), number: Number(match[2]) }
}

export function summarize(
  files: ImageFiles, record: StoredEpoch, storedBytes: number | null, replicas: EpochSummary['replicas'],
): EpochSummary {
  const { parent } = record
  return {
    image: files.image,
    number: record.number,
    id: record.id.toString('hex'),
    parent: parent === null ? null : { id: parent.id.toString('hex'), image: parent.image, number: parent.number },
    wallMs: record.wallMs,
    note: record.note,
    pinned: files.isPinned(record.number),
    level: replicas.of > 0 && replicas.have === replicas.of ? 'replicated' : 'durable',
    replicas,
    writtenBytes: record.writtenBytes,
    storedBytes,
    pauseMs: record.machine === null ? null : record.pauseUs / 1000,
    machine: record.machine !== null,
  }
}

/** What is shown of an epoch whose record cannot be read. */
export function summarizeDamaged(files: ImageFiles, number: number, reason: string): EpochSummary {
  return {
    image: files.image, number, id: '', parent: null, wallMs: 0, note: '', pinned: files.isPinned(number),
    level: 'durable', replicas: { have: 0, of: 0 },
    writtenBytes: 0, storedBytes: null, pauseMs: null, machine: false, damaged: reason,
  }
}

/** Stored bytes by epoch number, as far as the side file knows. It is not synced, and nothing depends on it. */
export class EpochStatistics {
  readonly #env: Env
  readonly #path: string
  #known: Map<number, number> | null = null

  constructor(env: Env, path: string) {
    this.#env = env
    this.#path = path
  }

  get(number: number): number | null {
    return this.#load().get(number) ?? null
  }

  add(number: number, storedBytes: number): void {
    this.#load().set(number, storedBytes)
    try {
      using file = openStored(this.#env, this.#path, 'create')
      // A crash can leave half a line: the new one does not go on there.
      file.write(Buffer.from(`\n${JSON.stringify([number, storedBytes])}\n`), file.size())
    } catch (error) {
      // The epoch is durable already: for want of a figure it must not count as failed.
      if (!isCode(error, 'NO_SPACE', 'IO', 'DAMAGED')) throw error
    }
  }

  #load(): Map<number, number> {
    if (this.#known !== null) return this.#known
    this.#known = new Map()
    if (!this.#env.exists(this.#path)) return this.#known
    const text = Buffer.from(readWhole(this.#env, this.#path, 64 * MIB)).toString()
    for (const match of text.matchAll(/^\[(\d+),(\d+)\]$/gm)) this.#known.set(Number(match[1]), Number(match[2]))
    return this.#known
  }
}
