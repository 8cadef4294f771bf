/**
 * An object under a temporary name: sent to a DataNode, its length and checksum compared with what was meant. A
 * client or a DataNode that dies in the middle leaves a closed, shorter file, so nothing counts before that.
 */
import { crc32 } from 'node:zlib'
import { HoldfastError } from '../../errors.ts'
import type { Call } from '../call.ts'
import { hdfsBlockBytes } from '../limits.ts'
import { joinPath } from '../paths.ts'
import type { ObjectSource, PutResult } from '../replica.ts'
import { CountedSource } from '../source.ts'
import { temporaryName } from '../temporary.ts'
import type { Throttle } from '../throttle.ts'
import { HdfsChecksum, checksumAlgorithm } from './checksum.ts'
import { DataNodeFailure, dataNodeRefusal, located, onDataNode } from './data-node-failure.ts'
import { Exclusions } from './data-nodes.ts'
import { download } from './download.ts'
import { Json, parseJson } from './json.ts'
import type { NameNodes, Question } from './name-nodes.ts'
import type { NameSpace } from './name-space.ts'
import { remoteFailure } from './remote.ts'
import { type Target, ask, upload } from './transport.ts'

export interface UploadPlace {
  readonly nameNodes: NameNodes
  readonly nameSpace: NameSpace
  readonly throttle: Throttle
  /** Where temporary names are; it must be there. */
  readonly directory: string
}

/** A complete object that has no name yet. */
export interface Uploaded extends PutResult {
  readonly path: string
  readonly fileId: number
}

/** Uploads that arrived whole, and wrong: then it is not by chance. */
const wrongMax = 3

/** Errors: DAMAGED (the source), NO_SPACE, those of every call. */
export async function uploadTemporary(place: UploadPlace, call: Call, source: ObjectSource): Promise<Uploaded> {
  const exclusions = new Exclusions(place.nameNodes)
  let wrongCount = 0
  const patienceEndMs = call.env.monotonicMs() + call.limits.callTimeoutMs
  for (let tries = 1; ; tries++) {
    const attempt = new Attempt(place, call, source)
    try {
      return await attempt.run(exclusions)
    } catch (error) {
      await attempt.discard()
      if (!(error instanceof DataNodeFailure)) throw error
      call.lastFailure = error
      if (error.blame === 'contents' && ++wrongCount === wrongMax) {
        throw new HoldfastError('REPLICA_FAULT', `${error.message}, ${wrongMax} times`, { cause: error })
      }
      if (call.env.monotonicMs() > patienceEndMs) throw call.overdue()
      await exclusions.add(call, error)
      if (tries > 1) await call.backOff(tries - 1)
    }
  }
}

/** Best effort: what stays has a temporary name, and counts for nothing. */
export async function discardTemporary(nameSpace: NameSpace, call: Call, path: string): Promise<void> {
  if (call.signal.aborted) return
  try {
    await nameSpace.remove(call, path, 'deep')
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    call.lastFailure = error
  }
}

class Attempt {
  readonly #place: UploadPlace
  readonly #call: Call
  readonly #source: ObjectSource
  readonly #path: string
  readonly #counted: CountedSource
  readonly #checksum = new HdfsChecksum()
  #isBegun = false

  constructor(place: UploadPlace, call: Call, source: ObjectSource) {
    this.#place = place
    this.#call = call
    this.#source = source
    this.#path = joinPath(place.directory, temporaryName(call.env))
    this.#counted = new CountedSource(source)
  }

  async run(exclusions: Exclusions): Promise<Uploaded> {
    const parameters = {
      ...exclusions.parameters, overwrite: 'false', createparent: 'false', permission: '600', blocksize: hdfsBlockBytes,
    }
    const target = await this.#locate({
      method: 'PUT', operation: 'CREATE', path: this.#path, parameters, effect: 'none',
    }, 'asking for a place to write')
    this.#isBegun = true
    await this.#send(target)
    const [fileId] = await Promise.all([this.#checkLength(), this.#checkSum(exclusions)])
    return { path: this.#path, fileId, ...this.#counted.result() }
  }

  async discard(): Promise<void> {
    if (this.#isBegun) await discardTemporary(this.#place.nameSpace, this.#call, this.#path)
  }

  #locate(question: Question, doing: string): Promise<Target> {
    return located(() => this.#place.nameNodes.locate(this.#call, question, doing))
  }

  async #send(target: Target): Promise<void> {
    const reply = await onDataNode(target, () => upload(target, this.#call, this.#source.bytes, this.#pieces()))
    if (reply.status !== 201 && reply.status !== 200) throw dataNodeRefusal(target, remoteFailure(reply), 'writing')
  }

  async *#pieces(): AsyncIterable<Uint8Array> {
    for await (const piece of this.#counted.pieces()) {
      this.#checksum.update(piece)
      await this.#place.throttle.pass(piece.length, this.#call.signal)
      yield piece
    }
  }

  async #checkLength(): Promise<number> {
    const status = await this.#place.nameSpace.status(this.#call, this.#path)
    if (status !== null && status.bytes === this.#source.bytes) return status.fileId
    const found = status === null ? 'nothing' : `${status.bytes} bytes`
    throw new DataNodeFailure('contents', new Error(`there are ${found} where ${this.#source.bytes} were written`))
  }

  async #checkSum(exclusions: Exclusions): Promise<void> {
    if (this.#source.bytes === 0) return
    const target = await this.#locate({
      method: 'GET', operation: 'GETFILECHECKSUM', path: this.#path, parameters: exclusions.parameters, effect: 'none',
    }, 'asking for a checksum')
    const reply = await onDataNode(target, () => ask(target, this.#call))
    if (reply.status !== 200) throw dataNodeRefusal(target, remoteFailure(reply), 'asking for a checksum')
    const json = new Json(parseJson(reply.body.toString('utf8')), 'GETFILECHECKSUM').field('FileChecksum')
    const isComparable = json.field('algorithm').text() === checksumAlgorithm
    const isRight = isComparable
      ? json.field('bytes').text().startsWith(this.#checksum.digest()) : await this.#isReadBack()
    if (isRight) return
    throw new DataNodeFailure('contents', new Error('what was written has another checksum than what was sent'))
  }

  /** For clusters with checksums of another kind, and erasure-coded directories. */
  async #isReadBack(): Promise<boolean> {
    const { bytes, crc32: expected } = this.#counted.result()
    let sum = 0
    let count = 0
    for await (const piece of download(this.#place, this.#call, { path: this.#path, offset: 0, bytes })) {
      sum = crc32(piece, sum)
      count += piece.length
    }
    return count === bytes && sum === expected
  }
}
