/** A driver's failure in our words and codes. */
import { isDriverError } from '../../drivers/index.ts'
import type { DriverErrorCode } from '../../drivers/index.ts'
import { HoldfastError, messageOf } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'

const codes: Record<DriverErrorCode, ErrorCode> = {
  REFUSED: 'UNSUPPORTED',
  UNSUPPORTED: 'UNSUPPORTED',
  INVALID: 'USAGE',
  START_FAILED: 'MACHINE',
  LOAD_FAILED: 'MACHINE',
  SAVE_FAILED: 'MACHINE',
  TOO_LARGE: 'MACHINE',
  STATE_SPENT: 'MACHINE',
  WRONG_STATE: 'MACHINE',
  TIMEOUT: 'MACHINE_TIMEOUT',
  ABORTED: 'ABORTED',
  GONE: 'MACHINE_GONE',
  COMMAND_FAILED: 'MACHINE',
  PROTOCOL: 'MACHINE',
  DISCONNECTED: 'MACHINE_GONE',
  CLOSED: 'MACHINE_GONE',
  BUSY: 'BUSY',
}

/** What to do about it, where the driver cannot know: it knows no images. */
const remedies: Partial<Record<ErrorCode, string>> = {
  MACHINE_TIMEOUT: "the guest goes on when its hypervisor does; look at the host's load, then try again",
  MACHINE_GONE: "'holdfast vm resume' starts it again from its newest checkpoint",
}

/** Ours are kept as they are; anything unknown is a MACHINE failure with its cause. */
export function fromDriver(error: unknown, doing: string): HoldfastError {
  if (error instanceof HoldfastError) return error
  const code = isDriverError(error) ? codes[error.code] : 'MACHINE'
  const remedy = remedies[code]
  const message = `${doing}: ${messageOf(error)}${remedy === undefined ? '' : ` (${remedy})`}`
  return new HoldfastError(code, message, { cause: error })
}

/** Runs a step of the driver with its errors in our codes. */
export async function driving<T>(doing: string, step: Promise<T>): Promise<T> {
  try {
    return await step
  } catch (error) {
    throw fromDriver(error, doing)
  }
}
