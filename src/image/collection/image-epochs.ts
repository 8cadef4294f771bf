/** The epochs of one image as retention sees them, and what they need as roots. */
import type { Buffer } from 'node:buffer'
import { HoldfastError, isCode } from '../../errors.ts'
import type { StoredEpoch } from '../../format/epoch.ts'
import { type LongCall, breathe } from '../../store/progress.ts'
import type { OpenImage } from '../open-image.ts'
import type { RetainedEpoch } from './retention.ts'

/** The little that is kept of a record. */
export interface EpochRoots {
  readonly id: Buffer
  readonly number: number
  readonly wallMs: number
  readonly note: string
  readonly hasMachine: boolean
  readonly manifest: Buffer
  readonly stateRoot: Buffer | null
}

const recordsBetweenTurns = 64

/** By rising number. Errors: DAMAGED, ABORTED. */
export async function readEpochs(image: OpenImage, call: LongCall): Promise<EpochRoots[]> {
  const found: EpochRoots[] = []
  for (const [at, number] of image.files.epochNumbers().entries()) {
    const record = readEpoch(image, number)
    if (record !== null) found.push(rootsOf(record))
    if (at % recordsBetweenTurns === 0) await breathe(call)
  }
  return found
}

/** Null when it was removed meanwhile. Errors: DAMAGED: what it needs cannot be told from garbage. */
export function readEpoch(image: OpenImage, number: number): StoredEpoch | null {
  try {
    return image.files.epoch(number)
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return null
    if (!isCode(error, 'DAMAGED', 'BAD_FORMAT')) throw error
    const address = `${image.identity.image}@${number}`
    throw new HoldfastError('DAMAGED', `the record of ${address} cannot be read, so what it needs cannot be told ` +
      `from garbage: 'holdfast check --repair', or 'holdfast rm ${address}'`, { cause: error })
  }
}

export function rootsOf({ id, number, wallMs, note, machine, manifest }: StoredEpoch): EpochRoots {
  return { id, number, wallMs, note, hasMachine: machine !== null, manifest, stateRoot: machine?.stateRoot ?? null }
}

/**
 * `others`: why epochs of this image stay for the sake of others, by number. What a replica still waits for stays
 * unless `unreplicated`: once gone here, it would be nowhere.
 */
export function retainedEpochs(
  image: OpenImage, epochs: readonly EpochRoots[], others: ReadonlyMap<number, string>, unreplicated: boolean,
): RetainedEpoch[] {
  const { newest } = image
  const machine = epochs.findLast(({ hasMachine }) => hasMachine)?.number
  return epochs.map(({ number, wallMs }) => {
    let neededFor = others.get(number) ?? null
    if (!unreplicated && !image.isReplicated(number)) neededFor = 'not on all replicas yet'
    if (number === machine) neededFor = 'newest with a machine'
    if (newest.kind === 'head' && number === newest.number) neededFor = 'head'
    if (image.files.isPinned(number)) neededFor = 'pinned'
    return { number, wallMs, neededFor }
  })
}
