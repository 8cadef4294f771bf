/**
 * A store's index runs on a replica: one for each batch that was sent, and always `runFanOut` of a level merged into
 * one of the next. So there are few of them, and each entry is written once a level. A run is a help and no truth: it
 * is put again when in doubt.
 */
import type { Buffer } from 'node:buffer'
import { isCode } from '../../errors.ts'
import {
  type RunEntry, type RunIdentity, compareEntries, encodeIndexRun, entriesOfRun, runEntryBytes,
} from '../../format/index-run.ts'
import { indexRunEntriesMax } from '../../limits.ts'
import { packsOfRun } from '../collection/dead-runs.ts'
import { type IndexRunName, indexDirectory, indexRunName, parseIndexRunName } from '../layout.ts'
import { indexRunBytesMax, runFanOut, runLevelMax } from '../limits.ts'
import { joinPath } from '../paths.ts'
import { readObject } from '../read-object.ts'
import type { CallOptions, Replica } from '../replica.ts'
import { putIn } from './pack-feed.ts'

interface PresentRun extends IndexRunName {
  readonly bytes: number
}

export class RunFeed {
  readonly #replica: Replica
  readonly #directory: string
  readonly #identity: RunIdentity
  #runs: PresentRun[] | null = null
  #numberMax = 0
  /** What larger ones hold by now. */
  #merged: PresentRun[] = []

  constructor(replica: Replica, storeId: Buffer, identity: RunIdentity) {
    this.#replica = replica
    this.#directory = indexDirectory(storeId)
    this.#identity = identity
  }

  /** Puts entries, in any order, as runs of the lowest level. */
  async add(entries: readonly RunEntry[], options: CallOptions): Promise<void> {
    const sorted = withoutTwins(entries.toSorted(compareEntries))
    for (let at = 0; at < sorted.length; at += indexRunEntriesMax) {
      await this.#put(0, sorted.slice(at, at + indexRunEntriesMax), options)
    }
  }

  /** Merges what is to be merged now; false when there is nothing. */
  async merge(options: CallOptions): Promise<boolean> {
    const full = fullLevel(await this.#list(options))
    if (full === null) return false
    const entries: RunEntry[] = []
    for (const run of full) entries.push(...await this.#read(run, options))
    const level = Math.min(full[0].level + 1, runLevelMax)
    if (entries.length > 0) await this.#put(level, withoutTwins(entries.sort(compareEntries)), options)
    this.#merged.push(...full)
    this.#runs = (this.#runs ?? []).filter((run) => !full.includes(run))
    return true
  }

  /** Removes what was merged before: a while after, as who lists meanwhile may see neither what goes nor what comes. */
  async tidy(options: CallOptions): Promise<void> {
    for (let run = this.#merged.at(0); run !== undefined; run = this.#merged.at(0)) {
      await this.#replica.remove(this.#path(run), options)
      this.#merged.shift()
    }
  }

  /** Takes entries out that lead to packs which are gone; `there`: the others, by their ids in hex. */
  async mend(there: ReadonlySet<string>, options: CallOptions): Promise<number> {
    let mended = 0
    for (const run of [...await this.#list(options)]) {
      const packs = await packsOfRun(this.#replica, this.#path(run), run.bytes, options)
      if (packs === null || packs.every((pack) => there.has(pack))) continue
      const kept = (await this.#read(run, options)).filter(({ packId }) => there.has(packId.toString('hex')))
      if (kept.length > 0) await this.#put(run.level, kept, options)
      await this.#replica.remove(this.#path(run), options)
      this.#runs = (this.#runs ?? []).filter((each) => each !== run)
      mended += 1
    }
    return mended
  }

  /** What is known is found out again. */
  forget(): void {
    this.#merged = []
    this.#runs = null
  }

  async #put(level: number, entries: readonly RunEntry[], options: CallOptions): Promise<void> {
    const runs = await this.#list(options)
    const bytes = encodeIndexRun(this.#identity, entries)
    for (;;) {
      this.#numberMax += 1
      const name = { level, number: this.#numberMax }
      try {
        await putIn(this.#replica, this.#directory, indexRunName(name), bytes, options)
        runs.push({ ...name, bytes: bytes.length })
        return
      } catch (error) {
        // An earlier try whose answer was lost: the number is spent.
        if (!isCode(error, 'EXISTS')) throw error
      }
    }
  }

  /** Nothing where it is damaged or gone: what it named is found by a scan of the packs. */
  async #read(run: PresentRun, options: CallOptions): Promise<RunEntry[]> {
    try {
      return [...entriesOfRun(await readObject(this.#replica, this.#path(run), indexRunBytesMax, options))]
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'BAD_FORMAT', 'NOT_FOUND')) throw error
      return []
    }
  }

  async #list(options: CallOptions): Promise<PresentRun[]> {
    if (this.#runs !== null) return this.#runs
    const runs: PresentRun[] = []
    try {
      for await (const { name, bytes } of this.#replica.list(this.#directory, options)) {
        const run = parseIndexRunName(name)
        if (run !== undefined) runs.push({ ...run, bytes })
      }
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND')) throw error
    }
    this.#numberMax = Math.max(this.#numberMax, ...runs.map(({ number }) => number))
    this.#runs = runs
    return runs
  }

  #path(run: IndexRunName): string {
    return joinPath(this.#directory, indexRunName(run))
  }
}

/** The oldest runs of a level that has enough of them to be one of the next. */
function fullLevel(runs: readonly PresentRun[]): PresentRun[] | null {
  for (let level = 0; level < runLevelMax; level++) {
    const members = runs.filter((run) => run.level === level).sort((left, right) => left.number - right.number)
    if (members.length < runFanOut) continue
    const taken = members.slice(0, runFanOut)
    // Each byte of an object stands for less than its part of an entry, so this many entries are the most there are.
    const entries = taken.reduce((sum, { bytes }) => sum + Math.floor(bytes / runEntryBytes), 0)
    if (entries <= indexRunEntriesMax) return taken
  }
  return null
}

function withoutTwins(sorted: readonly RunEntry[]): RunEntry[] {
  return sorted.filter((entry, at) => at === 0 || compareEntries(sorted[at - 1], entry) !== 0)
}
