/**
 * Carries out what the owner's reducer (`protocol/owner.ts`) wants on a replica: one image, one action at a time.
 * What is unclear is asked again after a pause, for as long as the caller's signal allows.
 */
import { HoldfastError, isCode } from '../../errors.ts'
import { pause } from '../call.ts'
import { closedPart } from '../generation.ts'
import {
  generationDirectory, generationParts, imageDirectory, ownerName, parseBatchName, parseGenerationName,
} from '../layout.ts'
import { unclearPauseMs } from '../limits.ts'
import { listNames } from '../list-names.ts'
import { type OwnerRecord, decodeOwner, encodeOwner, ownerRecordBytesMax } from '../owner-record.ts'
import { joinPath } from '../paths.ts'
import { type Action, type OwnerEvent, type OwnerState, type Reply, begin, step } from '../protocol/owner.ts'
import { readObject } from '../read-object.ts'
import type { Publication, Publisher } from '../publisher.ts'
import type { CallOptions, OpenOptions, Replica } from '../replica.ts'

/** What is opened with besides the number and what was left before. */
export type OwnerClaim = Omit<OwnerRecord, 'last'>

/** The newest generation of an image. */
export interface NewestGeneration {
  readonly number: number
  readonly isOpen: boolean
  readonly owner: OwnerRecord
}

/** Null where the image was never there. Errors: DAMAGED, BAD_FORMAT, NEWER_VERSION (its owner). */
export async function newestGeneration(
  replica: Replica, key: string, options: CallOptions,
): Promise<NewestGeneration | null> {
  const names = await listNames(replica, imageDirectory(key), options)
  const number = Math.max(0, ...names.map((name) => parseGenerationName(name) ?? 0))
  return number === 0 ? null : { number, ...await readOwner(replica, key, number, options) }
}

/** Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION. */
export async function readOwner(
  replica: Replica, key: string, number: number, options: CallOptions,
): Promise<{ owner: OwnerRecord; isOpen: boolean }> {
  const where = `the owner of ${key}, generation ${number}`
  const read = async (part: string): Promise<OwnerRecord> => {
    return decodeOwner(await readObject(replica, joinPath(part, ownerName), ownerRecordBytesMax, options), where)
  }
  const [open, closed] = generationParts(key, number)
  try {
    return { owner: await read(open), isOpen: true }
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND')) throw error
    return { owner: await read(closed), isOpen: false }
  }
}

/** Names of the batches in a part of a generation. Errors: NOT_FOUND. */
export async function batchesIn(replica: Replica, part: string, options: CallOptions): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of replica.list(part, options)) if (parseBatchName(name) !== undefined) names.push(name)
  return names
}

/** The highest epoch that these batches hold, and at least `last`. */
export function lastOf(batches: readonly string[], last = -1): number {
  return Math.max(last, ...batches.map((name) => parseBatchName(name)?.last ?? -1))
}

/** What the owner of a generation, which never changes, says of what was before; whoever has read it spares a look. */
export interface KnownBefore {
  readonly generation: number
  readonly last: number
  /** Names of its batches, when they were listed: it may have more by now. */
  readonly batches: readonly string[]
}

/** The next generation, which is made ready while the one before is closed. */
interface OpeningAhead {
  readonly directory: string
  /** As its owner will say. */
  readonly last: number
  readonly isWanted: PromiseWithResolvers<boolean>
  readonly opening: Promise<void>
}

/** Publishes what is to be published into that generation. */
type Publish = (generation: string) => Promise<void>

export class Ownership {
  readonly #replica: Replica
  readonly #key: string
  readonly #claim: OwnerClaim
  readonly #before: KnownBefore | undefined
  #ahead: OpeningAhead | null = null
  #state: OwnerState

  constructor(replica: Replica, key: string, claim: OwnerClaim, before?: KnownBefore) {
    this.#replica = replica
    this.#key = key
    this.#claim = claim
    this.#before = before
    this.#state = begin(claim.self)
  }

  get isOwner(): boolean {
    return this.#state.phase === 'owning'
  }

  get generation(): number {
    return this.#state.generation
  }

  /** Names of the batches that the generation before the one that is owned has left; of a rejoined one none. */
  get basis(): readonly string[] {
    return this.#state.basis
  }

  /** Closes a generation (0: there is none) and opens the next, if nobody else does. Tells whether it is owned now. */
  async takeOver(from: number, options: CallOptions): Promise<boolean> {
    if (this.#before?.generation === from) this.#ahead = this.#openAhead(this.#before, options)
    try {
      await this.#run({ type: 'takeOver', from }, options)
    } finally {
      this.#takeAhead()?.isWanted.resolve(false)
    }
    return this.isOwner
  }

  /** Goes on in a generation that an earlier run of this owner opened. Tells whether that is so. */
  async rejoin(generation: number, options: CallOptions): Promise<boolean> {
    await this.#run({ type: 'rejoin', generation }, options)
    return this.isOwner
  }

  /** Errors: FENCED: another writer took over, and this was not published. Else it is, for good. */
  async publish(publisher: Publisher, batch: Publication, options: CallOptions): Promise<void> {
    const publish = (generation: string) => publisher.publish(generation, [batch], options)
    await this.#run({ type: 'seal', epoch: batch.name }, options, publish)
    if (this.isOwner) return
    throw new HoldfastError('FENCED', `another writer took over after generation ${this.generation}`)
  }

  async #run(event: OwnerEvent, options: CallOptions, publish?: Publish): Promise<void> {
    const before = this.#state
    let next = step(before, event)
    try {
      while (next.action !== null) {
        this.#state = next.state
        const reply = await this.#carryOut(next.action, options, publish)
        if (reply.type === 'unclear') await pauseFor(options)
        next = step(this.#state, { type: 'reply', reply })
      }
      this.#state = next.state
    } catch (error) {
      // What may have happened meanwhile is asked for again by the next event: every action may be made twice.
      this.#state = before
      throw error
    }
  }

  /** An unclear outcome is a reply; that nobody can be reached or allows it is the caller's business. */
  async #carryOut(action: Action, options: CallOptions, publish?: Publish): Promise<Reply> {
    try {
      return await this.#ask(action, options, publish)
    } catch (error) {
      if (isCode(error, 'REPLICA_UNCLEAR')) return { type: 'unclear' }
      throw error
    }
  }

  async #ask(action: Action, options: CallOptions, publish?: Publish): Promise<Reply> {
    const directory = generationDirectory(this.#key, action.generation)
    switch (action.type) {
      case 'close':
        return replyTo(this.#replica.closeGeneration(directory, options), { NOT_FOUND: gone })
      case 'list':
        return { type: 'listed', epochs: await batchesIn(this.#replica, closedPart(directory), options) }
      case 'open':
        return this.#open(directory, action.basis, options)
      case 'readOwner':
        return this.#whose(action.generation, options)
      case 'publish':
        return publish === undefined ? gone : replyTo(publish(directory), { FENCED: gone })
    }
  }

  /** As it will be if the one before has no more than was known. */
  #openAhead({ generation, last: lastBefore, batches }: KnownBefore, options: CallOptions): OpeningAhead {
    const directory = generationDirectory(this.#key, generation + 1)
    const last = lastOf(batches, lastBefore)
    const isWanted = Promise.withResolvers<boolean>()
    const opening = this.#openWith(directory, last, { ...options, after: isWanted.promise })
    // Whoever wants it is told.
    opening.catch(() => undefined)
    return { directory, last, isWanted, opening }
  }

  #takeAhead(): OpeningAhead | null {
    const ahead = this.#ahead
    this.#ahead = null
    return ahead
  }

  #openWith(directory: string, last: number, options: OpenOptions): Promise<void> {
    return this.#replica.openGeneration(directory, ownerName, encodeOwner({ ...this.#claim, last }), options)
  }

  async #open(directory: string, basis: readonly string[], options: CallOptions): Promise<Reply> {
    const number = (parseGenerationName(directory.slice(directory.lastIndexOf('/') + 1)) ?? 1) - 1
    const last = lastOf(basis, await this.#lastBefore(number, options))
    if (number === 0) await this.#replica.makeDirectory(imageDirectory(this.#key), options)
    const ahead = this.#takeAhead()
    const isRight = ahead?.directory === directory && ahead.last === last
    ahead?.isWanted.resolve(isRight)
    const opening = isRight ? ahead.opening : this.#openWith(directory, last, options)
    return replyTo(opening, { EXISTS: exists })
  }

  /** A generation may have ended without an epoch: then what its own owner began with counts. */
  async #lastBefore(number: number, options: CallOptions): Promise<number> {
    if (this.#before?.generation === number) return this.#before.last
    return number === 0 ? -1 : (await readOwner(this.#replica, this.#key, number, options)).owner.last
  }

  async #whose(generation: number, options: CallOptions): Promise<Reply> {
    try {
      const { owner } = await readOwner(this.#replica, this.#key, generation, options)
      return { type: 'owner', owner: owner.self }
    } catch (error) {
      if (isCode(error, 'NOT_FOUND')) return gone
      throw error
    }
  }
}

const exists: Reply = { type: 'exists' }
const gone: Reply = { type: 'gone' }

/** Refusals that are answers too, by their codes. */
async function replyTo(asked: Promise<unknown>, refusals: Readonly<Record<string, Reply>>): Promise<Reply> {
  try {
    await asked
    return { type: 'done' }
  } catch (error) {
    for (const [code, reply] of Object.entries(refusals)) if (isCode(error, code)) return reply
    throw error
  }
}

/** Errors: ABORTED. */
async function pauseFor({ signal }: CallOptions): Promise<void> {
  await pause(unclearPauseMs, signal ?? new AbortController().signal)
  if (signal?.aborted === true) throw new HoldfastError('ABORTED', 'stopped on request')
}

/** Closes what is open before a generation, on a replica that follows another one's generations. */
export async function followTo(
  replica: Replica, key: string, generation: number, claim: OwnerRecord, options: CallOptions,
): Promise<boolean> {
  const newest = await newestGeneration(replica, key, options)
  if (newest !== null && newest.number < generation && newest.isOpen) {
    await replica.closeGeneration(generationDirectory(key, newest.number), options)
  }
  if (newest === null || newest.number < generation) {
    await replica.makeDirectory(imageDirectory(key), options)
    const opening = replica.openGeneration(generationDirectory(key, generation), ownerName, encodeOwner(claim), options)
    await replyTo(opening, { EXISTS: exists })
  }
  const found = await newestGeneration(replica, key, options)
  return found?.number === generation && found.isOpen && found.owner.storeId.equals(claim.storeId)
}
