/** What can go wrong in the rig; tests tell them apart by the code. */
export type RigErrorCode =
  | 'BUILD_FAILED' // the guest could not be built
  | 'CLUSTER_FAILED' // a daemon of a cluster did not start, or ended by itself
  | 'CLOSED' // the other end went away
  | 'TIMEOUT' // it did not happen in time

export class RigError extends Error {
  readonly code: RigErrorCode

  constructor(code: RigErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RigError'
    this.code = code
  }
}
