/**
 * Carries out on a replica what the collector's reducer (`protocol/collector.ts`) wants, one action at a time. It
 * holds nothing: a run that dies is finished, or taken back, by the next collector, which finds its markers.
 */
import { HoldfastError, isCode } from '../../errors.ts'
import { pause } from '../call.ts'
import { collectorDirectories, packsDirectory } from '../layout.ts'
import { removePackTries, unclearPauseMs } from '../limits.ts'
import { listEntries, listNames } from '../list-names.ts'
import { joinPath } from '../paths.ts'
import type { CollectionReply } from '../protocol/collection.ts'
import {
  type CollectionPlan, type CollectorAction, beginCollector, stepCollector,
} from '../protocol/collector.ts'
import type { CallOptions, Replica } from '../replica.ts'
import { packsOfIntents, packsOfRecords } from './survey.ts'

export interface CollectorParts {
  readonly replica: Replica
  /** Letters and digits, of this run alone, never used again. */
  readonly self: string
  /** Takes a batch away that is no longer needed, by its path. Errors: FENCED: another store has the image. */
  readonly removeRecord: (path: string, call: CallOptions) => Promise<void>
}

export interface CollectorCall extends CallOptions {
  readonly removed?: (packs: number, bytes: number) => void
}

const done: CollectionReply = { type: 'done' }

export class CollectorRun {
  readonly #parts: CollectorParts
  readonly #packs = new Set<string>()
  #bytes = 0

  constructor(parts: CollectorParts) {
    this.#parts = parts
  }

  /** Names of packs that were removed, also those that an earlier collector had begun with, and their bytes. */
  get removed(): { readonly packs: ReadonlySet<string>; readonly bytes: number } {
    return { packs: this.#packs, bytes: this.#bytes }
  }

  /** Errors: FENCED, DAMAGED, BAD_FORMAT, NEWER_VERSION (what is named cannot be read), those of every call. */
  async run(plan: CollectionPlan, call: CollectorCall): Promise<void> {
    for (const directory of collectorDirectories) await this.#parts.replica.makeDirectory(directory, call)
    let step = stepCollector(beginCollector(this.#parts.self), { type: 'collect', plan })
    while (step.action !== null) {
      const reply = await answerOf(this.#carryOut(step.action, call))
      if (reply.type === 'unclear') await pauseFor(call)
      step = stepCollector(step.state, { type: 'reply', reply })
    }
  }

  async #carryOut(action: CollectorAction, call: CollectorCall): Promise<CollectionReply> {
    const { replica } = this.#parts
    switch (action.type) {
      case 'list': return { type: 'listed', names: await this.#list(action.place, call) }
      case 'make':
        await replica.put(joinPath(action.place, action.name), new Uint8Array(), call)
        return done
      case 'sentence': return this.#sentence(action.marker, call)
      case 'remove':
        if (action.place === 'records') await this.#parts.removeRecord(action.name, call)
        else if (action.place === 'packs') await this.#removePack(action.name, call)
        else await replica.remove(joinPath(action.place, action.name), call)
        return done
    }
  }

  #list(place: Extract<CollectorAction, { type: 'list' }>['place'], call: CallOptions): Promise<string[]> {
    const { replica } = this.#parts
    if (place === 'intents') return packsOfIntents(replica, call)
    return place === 'records' ? packsOfRecords(replica, call) : listNames(replica, place, call)
  }

  async #sentence(marker: string, call: CallOptions): Promise<CollectionReply> {
    const { replica } = this.#parts
    const [condemned, deleting] = [joinPath('condemned', marker), joinPath('deleting', marker)]
    try {
      await replica.move(condemned, deleting, call)
      return done
    } catch (error) {
      // Somebody died between giving it the new name and taking the old one away.
      if (isCode(error, 'EXISTS')) await replica.remove(condemned, call)
      else if (!isCode(error, 'NOT_FOUND')) throw error
    }
    return await replica.stat(deleting, call) === null ? { type: 'gone' } : done
  }

  /** A writer that does not know yet may put a range there meanwhile, which is as lost as the rest. */
  async #removePack(pack: string, call: CollectorCall): Promise<void> {
    const { replica } = this.#parts
    const directory = joinPath(packsDirectory, pack)
    for (let tries = 1; ; tries++) {
      for (const { name, bytes } of await listEntries(replica, directory, call)) {
        await replica.remove(joinPath(directory, name), call)
        this.#bytes += bytes
        this.#packs.add(pack)
      }
      try {
        await replica.remove(directory, call)
        return call.removed?.(this.#packs.size, this.#bytes)
      } catch (error) {
        if (!isCode(error, 'EXISTS')) throw error
        if (tries === removePackTries) throw stubborn(directory, error)
      }
    }
  }
}

function stubborn(directory: string, cause: unknown): HoldfastError {
  return new HoldfastError('BUSY', `${directory} is filled while it is being removed: collect again later`, { cause })
}

/** That an outcome is unclear is a reply; that nobody answers, or allows it, is the caller's business. */
async function answerOf(carryingOut: Promise<CollectionReply>): Promise<CollectionReply> {
  try {
    return await carryingOut
  } catch (error) {
    if (isCode(error, 'REPLICA_UNCLEAR')) return { type: 'unclear' }
    if (isCode(error, 'EXISTS')) return { type: 'exists' }
    throw error
  }
}

/** Errors: ABORTED. */
async function pauseFor({ signal }: CallOptions): Promise<void> {
  await pause(unclearPauseMs, signal ?? new AbortController().signal)
  if (signal?.aborted === true) throw new HoldfastError('ABORTED', 'stopped on request')
}
