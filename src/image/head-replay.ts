/**
 * Rebuilds a head from the log that another server of the same mount left, so that it can go on at once and
 * the log be committed behind it. The records lead to the same state here as in a commit (changes.ts): what
 * they say is laid over the committed manifest, tagged with their segments.
 *
 * Nothing is lost when only the server's process ended: what it wrote is in the kernel's page cache. At most
 * the last record is torn, and its request was not answered.
 */
import { Buffer } from 'node:buffer'
import type { Env } from '../env/env.ts'
import { HoldfastError } from '../errors.ts'
import type { Head } from './head.ts'
import { ImageLayout } from './layout.ts'
import { LogFollower } from './log-follower.ts'
import type { HeadStart, Takeover } from './types.ts'

/**
 * Lays the log's records over the head and lets its log go on behind them. Returns the numbers of the
 * requests of `connection` that were carried out as a whole: those that the kernel sends again got no answer.
 * `ahead` has read the log of the image while it was written, and is used up. Errors: DAMAGED, IO.
 */
export function replayLog(
  env: Env, head: Head, start: HeadStart, takeover: Takeover, connection: number, ahead?: LogFollower,
): Set<number> {
  const layout = new ImageLayout(start.directory, start.image)
  const isRead = (follower: LogFollower): boolean =>
    follower.finish(Buffer.from(start.imageId, 'hex'), takeover.segments, start.sequence, connection)
  using anew = new LogFollower(env, layout, head.log.keys, connection)
  const follower = ahead !== undefined && isRead(ahead) ? ahead : anew
  if (follower === anew && !isRead(anew)) throw lacking(takeover.segments)
  follower.changes.layOver(head)
  for (const file of follower.takeFiles()) {
    if (file.records > 0) head.log.adopt(file)
    else file.close()
  }
  const { lastRequest } = takeover
  const last = lastRequest.connection === connection && lastRequest.unique !== 0 ? [lastRequest.unique] : []
  return new Set([...last, ...follower.changes.uniques])
}

function lacking(segments: readonly number[]): HoldfastError {
  return new HoldfastError('DAMAGED', `the log lacks records up to segment ${segments.at(-1)} that were written: ` +
    'roll back to an epoch with --discard, or restore the image from a replica')
}
