/**
 * An object's bytes from DataNodes: where one breaks off, another one goes on from there. Whoever reads knows what
 * the bytes have to be; here only their number is checked.
 */
import type { Buffer } from 'node:buffer'
import { HoldfastError } from '../../errors.ts'
import type { Call } from '../call.ts'
import type { Throttle } from '../throttle.ts'
import { DataNodeFailure, dataNodeRefusal, isBehindEnd, located, onDataNode } from './data-node-failure.ts'
import { Exclusions } from './data-nodes.ts'
import type { KnownPlaces } from './known-places.ts'
import type { NameNodes } from './name-nodes.ts'
import { remoteFailure } from './remote.ts'
import { type Target, TransportFailure, askForBody, bodyPieces, readReply } from './transport.ts'

export interface DownloadPlace {
  readonly nameNodes: NameNodes
  readonly throttle: Throttle
  /** Without it the NameNode is asked for every range. */
  readonly known?: KnownPlaces
}

export interface Range {
  readonly path: string
  readonly offset: number
  /** Infinity: to the end. */
  readonly bytes: number
}

/** Errors: NOT_FOUND, REPLICA_FAULT when more comes than was asked for, those of every call. */
export async function* download(place: DownloadPlace, call: Call, range: Range): AsyncGenerator<Buffer> {
  const exclusions = new Exclusions(place.nameNodes)
  let { offset, bytes } = range
  let patienceEndMs = call.env.monotonicMs() + call.limits.callTimeoutMs
  for (let tries = 1; bytes > 0; tries++) {
    let isKnown = false
    try {
      const found = await placeOf(place, call, { ...range, offset, bytes }, exclusions, tries === 1)
      isKnown = found.isKnown
      if (found.target === null) return
      for await (const piece of piecesFrom(place, call, found.target)) {
        if (piece.length > bytes) throw new HoldfastError('REPLICA_FAULT', 'a DataNode sends more than was asked for')
        offset += piece.length
        bytes -= piece.length
        yield piece
        patienceEndMs = call.env.monotonicMs() + call.limits.callTimeoutMs
        tries = 1
      }
      return
    } catch (error) {
      call.check()
      place.known?.forget(range.path)
      const isDataNodes = error instanceof DataNodeFailure
      if (!isDataNodes && !isKnown) throw error
      call.lastFailure = error
      if (call.env.monotonicMs() > patienceEndMs) throw call.overdue()
      if (isDataNodes) await exclusions.add(call, error)
      if (tries > 1) await call.backOff(tries - 1)
    }
  }
}

/** What is known already, or what the NameNode says. `isKnown`: it may be outdated, and its refusal means nothing. */
async function placeOf(
  place: DownloadPlace, call: Call, range: Range, exclusions: Exclusions, isFirstTry: boolean,
): Promise<{ target: Target | null; isKnown: boolean }> {
  const known = isFirstTry ? place.known : undefined
  const found = known?.find(range.path, range)
  if (found !== undefined) {
    const target = await found
    if (target !== null) return { target, isKnown: true }
  }
  const asked = locate(place, call, range, exclusions)
  // Within this turn, so that all who ask for ranges at once ask one question.
  if (found === undefined) known?.note(range.path, asked)
  return { target: await asked, isKnown: false }
}

/** Null when nothing is there any more. */
async function locate(
  { nameNodes }: DownloadPlace, call: Call, { path, offset, bytes }: Range, exclusions: Exclusions,
): Promise<Target | null> {
  const length: Record<string, number> = bytes === Infinity ? {} : { length: bytes }
  try {
    return await located(() => nameNodes.locate(call, {
      method: 'GET', operation: 'OPEN', path, effect: 'none',
      parameters: { ...exclusions.parameters, offset, ...length },
    }, `reading ${path}`))
  } catch (error) {
    if (error instanceof HoldfastError && isBehindEnd(error.cause)) return null
    throw error
  }
}

async function* piecesFrom(place: DownloadPlace, call: Call, target: Target): AsyncIterable<Buffer> {
  const response = await onDataNode(target, () => askForBody(target, call))
  if (response.statusCode !== 200) {
    const reply = await onDataNode(target, () => readReply(response, target, call))
    const failure = remoteFailure(reply)
    if (isBehindEnd(failure)) return
    throw dataNodeRefusal(target, failure, 'reading')
  }
  try {
    for await (const piece of bodyPieces(response, target, call)) {
      await place.throttle.pass(piece.length, call.signal)
      call.check()
      yield piece
    }
  } catch (error) {
    throw error instanceof TransportFailure ? new DataNodeFailure(target.server, error) : error
  }
}
