/** The error of a chunk that no replica gave. */
import type { Buffer } from 'node:buffer'
import { HoldfastError, isCode, messageOf } from '../../errors.ts'

/** `failures`: what was said by those who may have it. */
export function notHad(id: Buffer, failures: readonly unknown[]): HoldfastError {
  const name = id.toString('hex')
  const [passing] = failures.filter((failure) => !isCode(failure, 'DAMAGED', 'REPLICA_FAULT'))
  if (passing !== undefined) {
    const message = `chunk ${name} cannot be had now: ${messageOf(passing)}`
    return new HoldfastError('REPLICA_UNREACHABLE', message, { cause: passing, info: { id: name } })
  }
  if (failures.length > 0) {
    const message = `chunk ${name} is damaged on every replica that has it`
    return new HoldfastError('DAMAGED', message, { cause: failures[0], info: { id: name } })
  }
  return new HoldfastError('NOT_FOUND', `chunk ${name} is on no replica of this store`, { info: { id: name } })
}
