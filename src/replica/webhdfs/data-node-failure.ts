/** Failures of one DataNode, which another one may not have. */
import { faultOf } from './name-nodes.ts'
import { RemoteFailure, refusedError } from './remote.ts'
import { type Server, type Target, TransportFailure } from './transport.ts'

export class DataNodeFailure extends Error {
  /** Null when nobody in particular is to blame. */
  readonly server: Server | null

  constructor(server: Server | null, cause: Error) {
    super(cause.message, { cause })
    this.server = server
  }
}

/** A failure of the way to a DataNode is that DataNode's. */
export async function onDataNode<T>(target: Target, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    if (!(error instanceof TransportFailure)) throw error
    throw error.kind === 'fault' ? faultOf(error) : new DataNodeFailure(target.server, error)
  }
}

/** There is nothing at the offset that was asked for: the NameNode and DataNodes say it in their own words. */
export function isBehindEnd(failure: unknown): boolean {
  return failure instanceof RemoteFailure && /Offset=\d+ out of the range|Cannot seek after EOF/.test(failure.message)
}

/** Final, or something that another DataNode may do better. */
export function dataNodeRefusal(target: Target, failure: RemoteFailure, doing: string): Error {
  const isFinal = ['absent', 'exists', 'denied', 'full'].includes(failure.refusal)
  return isFinal ? refusedError(failure, doing) : new DataNodeFailure(target.server, failure)
}
