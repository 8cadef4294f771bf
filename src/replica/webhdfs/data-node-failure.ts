/** Failures of one DataNode, which another one may not have. */
import { HoldfastError } from '../../errors.ts'
import { faultOf } from './name-nodes.ts'
import { RemoteFailure, refusedError } from './remote.ts'
import { type Server, type Target, TransportFailure } from './transport.ts'

export class DataNodeFailure extends Error {
  /** nobody: the NameNode knew none to send us to. contents: what was stored is not what was sent. */
  readonly blame: Server | 'nobody' | 'contents'

  constructor(blame: DataNodeFailure['blame'], cause: Error) {
    super(cause.message, { cause })
    this.blame = blame
  }
}

/** Throws DataNodeFailure where the NameNode knows no DataNode: it has just started, or all were left out. */
export async function located<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const failure = error instanceof HoldfastError ? error.cause : undefined
    const isNobody = failure instanceof RemoteFailure && /Failed to find datanode|No active nodes/.test(failure.message)
    throw isNobody ? new DataNodeFailure('nobody', failure) : error
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
