/**
 * Puts records right: by a single bit, or an epoch's from a replica. What lies on a replica is the first part of a
 * record, the same wherever it is; the local part behind it says how far this store's log is covered, and is nowhere
 * else. It is taken from the spoilt file where its checksum proves it, and made anew where nothing depends on it.
 *
 * A copy has to be of the very same epoch. Numbers do not tell: another writer that took the image over counts on from
 * the same one. So other records must name its id as their parent, or the spoilt file tell it, or the copy lie in a
 * history that only this store goes on with.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../../env/env.ts'
import { publishFile, readWhole } from '../../env/publish.ts'
import { HoldfastError, isCode } from '../../errors.ts'
import { correctByTrial, correctEpoch, provenId, withLocalOf } from '../../format/epoch-correction.ts'
import { decodeEpoch, decodeEpochIdentity } from '../../format/epoch.ts'
import type { EpochRecord, StoredEpoch } from '../../format/epoch.ts'
import { epochRecordBytesMax } from '../../limits.ts'
import { breathe } from '../../store/progress.ts'
import { quarantineCopy, quarantineFile } from '../../store/quarantine.ts'
import { isUnreadable } from '../catalog.ts'
import type { ImageFiles } from '../image-files.ts'
import { listSegments } from '../log-reader.ts'
import type { CallOptions } from '../types.ts'
import { soundEpoch } from './held-records.ts'
import type { RecordCopy } from './record-copy.ts'
import type { BadRecord } from './image-survey.ts'
import { imageIdOf, readableRecords } from './rebuilt-identity.ts'
import type { CheckTarget } from './store-survey.ts'

type BadEpoch = BadRecord & { readonly number: number }
type Parent = NonNullable<EpochRecord['parent']>

export class RecordMending {
  readonly #target: CheckTarget
  readonly #images: readonly ImageFiles[]
  readonly #copies: readonly RecordCopy[]

  constructor(target: CheckTarget, images: readonly ImageFiles[], copies: readonly RecordCopy[]) {
    this.#target = target
    this.#images = images
    this.#copies = copies
  }

  /** What was done, or why nothing could be, as a sentence; null where nothing is to be said. Errors: NO_SPACE, IO. */
  async mend(bad: BadRecord, options: CallOptions): Promise<string | null> {
    const { files, path, number } = bad
    const spoilt = readIfFile(this.#target.env, path)
    const isWhole = spoilt !== null && !isUnreadable(() => files.decode(spoilt, number))
    if (spoilt !== null && !isWhole && await this.#correct(bad, spoilt, options)) return `corrected ${path}`
    return number === null ? null : this.#takeCopy({ ...bad, number }, spoilt, isWhole ? null : spoilt)
  }

  async #correct({ files, path, number }: BadRecord, spoilt: Buffer, options: CallOptions): Promise<boolean> {
    const { env, store } = this.#target
    const isSound = (bytes: Buffer): boolean => !isUnreadable(() => files.decode(bytes, number))
    const steps = files.keys === null ? correctEpoch(spoilt) : correctByTrial(spoilt, isSound)
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done !== true) {
        await breathe(options)
        continue
      }
      if (step.value === null) return false
      quarantineCopy(env, store.layout, path, 'one bit of this record was wrong')
      publishFile(env, path, step.value)
      return true
    }
  }

  /** `there` is what has the record's name, `spoilt` what may be left of the record. */
  #takeCopy(bad: BadEpoch, there: Buffer | null, spoilt: Buffer | null): string | null {
    const { files, number } = bad
    const imageId = imageIdOf(files)
    if (imageId === null || this.#isRemoved(bad) || soundEpoch(files, imageId, number) !== null) return null
    // What is sealed cannot be opened in part: nothing of a spoilt one can be believed.
    const tail = files.keys === null ? spoilt : null
    const copy = this.#copyOf(bad, imageId, tail)
    if (copy === null) return null
    const whole = tail === null ? null : withLocalOf(tail, copy.identity)
    if (whole === null && this.#mayBearHead(files, number)) return headless(bad, copy.from)
    const record = whole === null ? copy.record : decodeEpoch(whole, `${files.image}@${number}`)
    this.#setAside(bad, there)
    files.publishEpoch(record)
    return `took the record of ${files.image}@${number} from ${copy.from}`
  }

  /** By the user or the collector, since it was looked at. */
  #isRemoved({ files, path, number }: BadEpoch): boolean {
    return !this.#target.env.exists(path) && !files.isPinned(number)
  }

  /** Null where there is none that is proved, or several that differ. */
  #copyOf(bad: BadEpoch, imageId: Buffer, tail: Buffer | null): ProvenCopy | null {
    const { files, number } = bad
    const { domainId } = this.#target.store.identity
    const named = this.#named(files, imageId, number)
    const own = tail === null ? null : provenId(tail)
    const offered = this.#copies.filter((copy) => copy.image === files.image && copy.number === number)
    const proven = offered.flatMap((copy) => {
      const read = readCopy(copy)
      const record = read?.record
      const isIt = record?.kind === 'epoch' && record.number === number && record.imageId.equals(imageId) &&
        record.domainId.equals(domainId)
      if (read === null || !isIt || own?.equals(read.record.id) === false) return []
      const isNamed = named.length > 0 ? named.every((id) => id.equals(read.record.id)) : null
      const isSaid = tail !== null && withLocalOf(tail, read.identity) !== null
      return isNamed ?? (isSaid || copy.isOwn) ? [read] : []
    })
    const [first] = proven
    return first !== undefined && proven.every(({ record }) => record.id.equals(first.record.id)) ? first : null
  }

  /**
   * Ids by which other records name an epoch as their parent. Two images can have one id, where one was fenced: then
   * each knows its own epochs only.
   */
  #named(files: ImageFiles, imageId: Buffer, number: number): Buffer[] {
    const isIt = (parent: Parent): boolean => parent.imageId.equals(imageId) && parent.number === number
    const own = parentsOf(files).filter(isIt)
    if (own.length > 0) return own.map(({ id }) => id)
    const others = this.#images.filter(({ image }) => image !== files.image)
    const isShared = others.some((other) => imageIdOf(other)?.equals(imageId) === true)
    return isShared ? [] : others.flatMap(parentsOf).filter(isIt).map(({ id }) => id)
  }

  /** Whether it may matter how far the log is covered by this epoch. */
  #mayBearHead(files: ImageFiles, number: number): boolean {
    const { env } = this.#target
    if (files.epochNumbers().some((each) => each > number)) return false
    let next = 0
    const isHeadBad = env.exists(files.layout.head) && isUnreadable(() => next = files.head().nextNumber)
    if (!isHeadBad && next > number) return false
    return this.#target.isServed(files.image) || listSegments(env, files.layout).length > 0
  }

  #setAside({ path }: BadEpoch, there: Buffer | null): void {
    const { env, store: { layout } } = this.#target
    const note = 'this is not the record that was here: a replica had it'
    if (there !== null) quarantineCopy(env, layout, path, note)
    else if (env.exists(path)) quarantineFile(env, layout, path, note)
  }
}

interface ProvenCopy {
  readonly record: StoredEpoch
  readonly identity: Buffer
  readonly from: string
}

function readCopy({ record: bytes, from }: RecordCopy): ProvenCopy | null {
  const identity = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    return { record: decodeEpochIdentity(identity, `a record of ${from}`), identity, from }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return null
  }
}

function headless({ files: { image }, number }: BadEpoch, from: string): string {
  return `${from} has the record of ${image}@${number}, but not how far the log of ${image} goes beyond it, and the ` +
    `head stands on it: 'holdfast restore ${from} ${image}@${number} --as NEW' brings the epoch back as another image`
}

function parentsOf(files: ImageFiles): Parent[] {
  return readableRecords(files).flatMap(({ parent }) => parent ?? [])
}

/** Null for what is no file, or longer than any record. */
export function readIfFile(env: Env, path: string): Buffer | null {
  try {
    const { kind, bytes: fileBytes } = env.stat(path)
    if (kind !== 'file' || fileBytes > epochRecordBytesMax) return null
    const bytes = readWhole(env, path, epochRecordBytesMax)
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  } catch (error) {
    if (!isCode(error, 'NOT_FOUND', 'IO')) throw error
    return null
  }
}
