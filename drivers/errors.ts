/**
 * What can go wrong in a driver and be handled. The code is API, the message is for people and may change.
 *
 * - `REFUSED` the plan has refusals; `UNSUPPORTED` this hypervisor or host cannot do it;
 *   `INVALID` a malformed argument.
 * - `START_FAILED`, `LOAD_FAILED`, `SAVE_FAILED` the step did not come about; the message carries the
 *   hypervisor's words.
 * - `TOO_LARGE` more bytes than the caller or the protocol allows.
 * - `STATE_SPENT` this pause cannot be saved again: resume and quiesce first.
 * - `WRONG_STATE` the machine is not in a state that allows the call.
 * - `TIMEOUT` the deadline passed; `ABORTED` the caller's signal fired.
 * - `GONE` the hypervisor's process has ended, whatever it was doing.
 * - `COMMAND_FAILED` the hypervisor answered with an error; `PROTOCOL` it answered with nonsense.
 * - `DISCONNECTED` its control connection closed while the process may live; `CLOSED` we closed it.
 * - `BUSY` a queue is full.
 */
export type DriverErrorCode =
  | 'REFUSED'
  | 'UNSUPPORTED'
  | 'INVALID'
  | 'START_FAILED'
  | 'LOAD_FAILED'
  | 'SAVE_FAILED'
  | 'TOO_LARGE'
  | 'STATE_SPENT'
  | 'WRONG_STATE'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'GONE'
  | 'COMMAND_FAILED'
  | 'PROTOCOL'
  | 'DISCONNECTED'
  | 'CLOSED'
  | 'BUSY'

export class DriverError extends Error {
  readonly code: DriverErrorCode

  constructor(code: DriverErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DriverError'
    this.code = code
  }
}

/** Whether `error` is a DriverError, of one of `codes` where some are given. */
export function isDriverError(error: unknown, ...codes: DriverErrorCode[]): error is DriverError {
  return error instanceof DriverError && (codes.length === 0 || codes.includes(error.code))
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
