/** Exit codes that scripts rely on, and which errors they stand for. */
import type { GarbageOutcome } from '../daemon/garbage-run.ts'
import type { VerbName } from '../daemon/verbs.ts'
import type { ErrorCode } from '../errors.ts'
import type { CheckReport } from '../image/types.ts'

export const exitCodes = Object.freeze({
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  locked: 4,
  damaged: 5,
  /** Done, but some replicas failed, or some packs could not be collected. */
  incomplete: 6,
  interrupted: 130,
})

/** Every other code is `failed`. */
const codeOfError: Partial<Record<ErrorCode, number>> = {
  USAGE: exitCodes.usage,
  BAD_NAME: exitCodes.usage,
  NOT_FOUND: exitCodes.notFound,
  LOCKED: exitCodes.locked,
  FENCED: exitCodes.locked,
  DAMAGED: exitCodes.damaged,
  BAD_FORMAT: exitCodes.damaged,
  ABORTED: exitCodes.interrupted,
}

export function exitCodeOf(code: ErrorCode): number {
  return codeOfError[code] ?? exitCodes.failed
}

/** A verb can succeed and still have bad news. */
export function exitCodeOfResult(verb: VerbName, result: unknown): number {
  if (verb === 'seal' || verb === 'vm checkpoint') {
    const { replicas } = result as { replicas?: { have: number; wanted: number } }
    return replicas !== undefined && replicas.have < replicas.wanted ? exitCodes.incomplete : exitCodes.done
  }
  if (verb === 'check' && (result as CheckReport).damaged.length > 0) return exitCodes.damaged
  if (verb === 'gc') {
    const { left = [], replicas = [] } = result as Partial<GarbageOutcome>
    const isIncomplete = left.length > 0 || replicas.some(({ error, refused }) => error !== null || refused.length > 0)
    return isIncomplete ? exitCodes.incomplete : exitCodes.done
  }
  return exitCodes.done
}
