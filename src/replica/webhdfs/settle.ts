/**
 * Renames whose answer may be lost. A rename keeps the inode's number, and only one of two renames of one inode can
 * succeed, so whoever knows the number can ask again and then see in the names what happened. What a lost request may
 * still do later is harmless once its source is gone or its target exists.
 */
import { HoldfastError } from '../../errors.ts'
import type { Call } from '../call.ts'
import type { FileStatus } from './json.ts'
import type { NameSpace, RenameMode } from './name-space.ts'
import { type RemoteFailure, refusedError } from './remote.ts'

export interface Move {
  readonly from: string
  /** The inode behind `from`. */
  readonly fileId: number
  readonly to: string
  readonly mode: RenameMode
  /** Where `to` is once its directory has been renamed. */
  readonly later?: string
}

/**
 * done: by this call. exists: the target is somebody else's. noParent: the target's directory is not there. gone: the
 * source is not there any more, and it was not this call.
 */
export type MoveOutcome = 'done' | 'exists' | 'noParent' | 'gone'

/** Errors: REPLICA_UNCLEAR, also when an answer was lost and the source is not at its target; those of a rename. */
export async function move(nameSpace: NameSpace, call: Call, step: Move): Promise<MoveOutcome> {
  const { from, to, mode } = step
  let wasLost = false
  for (let tries = 1; ; tries++) {
    const answer = await nameSpace.rename(call, from, to, mode)
    if (answer.kind === 'done') return 'done'
    if (answer.kind === 'refused') {
      const outcome = await explain(nameSpace, call, step, { failure: answer.failure, wasLost })
      call.isUnclear = false
      return outcome
    }
    wasLost = true
    await call.backOff(tries)
  }
}

async function explain(
  nameSpace: NameSpace, call: Call, step: Move, { failure, wasLost }: { failure: RemoteFailure; wasLost: boolean },
): Promise<MoveOutcome> {
  const { from, fileId, to, mode } = step
  const { refusal } = failure
  if (wasLost && await isThere(nameSpace, call, step)) return 'done'
  if (refusal !== 'exists' && refusal !== 'absent') throw refusedError(failure, `naming ${to}`)
  if (refusal === 'exists') return 'exists'
  if (isSame(await nameSpace.status(call, from), fileId)) return 'noParent'
  // It was replaced in turn, or its directory was closed, before we looked.
  if (wasLost && mode === 'replace') return 'done'
  if (!wasLost) return 'gone'
  throw new HoldfastError('REPLICA_UNCLEAR', `naming ${to}: what was to get the name is gone`, { cause: failure })
}

/** Under its name, also in a generation that was closed since. */
async function isThere(nameSpace: NameSpace, call: Call, { to, later, fileId }: Move): Promise<boolean> {
  if (isSame(await nameSpace.status(call, to), fileId)) return true
  return later !== undefined && isSame(await nameSpace.status(call, later), fileId)
}

function isSame(status: FileStatus | null, fileId: number): boolean {
  return status !== null && status.fileId === fileId
}
