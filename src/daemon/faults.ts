/** Errors as they travel in JSON, on the control socket and in `--json` output. */
import { codeOf, HoldfastError, messageOf, type ErrorCode } from '../errors.ts'

export interface Fault {
  code: ErrorCode
  message: string
  info: Record<string, unknown>
}

/** What the other side is told of a thrown value. What is not ours is a defect: its stack goes to the log only. */
export function faultOf(error: unknown): Fault {
  if (error instanceof HoldfastError) return { code: error.code, message: error.message, info: error.info }
  if (isSystemError(error)) return { code: 'IO', message: messageOf(error), info: { system: codeOf(error) } }
  return { code: 'DAEMON', message: `internal error: ${messageOf(error)}`, info: {} }
}

/** True for what neither we nor the operating system report as a failure: a defect of the program. */
export function isDefect(error: unknown): boolean {
  return !(error instanceof HoldfastError) && !isSystemError(error)
}

/** The error that a fault from the other side stands for. Its code is kept even if this version lacks it. */
export function errorOf(fault: unknown): HoldfastError {
  if (!isFault(fault)) return new HoldfastError('DAEMON', 'the daemon answered an error that cannot be read')
  return new HoldfastError(fault.code, fault.message, { info: fault.info })
}

function isFault(value: unknown): value is Fault {
  if (typeof value !== 'object' || value === null) return false
  if (!('code' in value) || !('message' in value) || !('info' in value)) return false
  return typeof value.code === 'string' && typeof value.message === 'string'
    && typeof value.info === 'object' && value.info !== null
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && codeOf(error) !== undefined
}
