/**
 * A generation is the time of one owner of something that has one writer at a time:
 *
 *   epochs/IMAGE/g<N>/open/      while it lasts: objects are published here
 *   epochs/IMAGE/g<N>/closed/    afterwards: the same directory, renamed
 *
 * Closing renames the inner directory: whoever publishes later finds no directory. Opening renames a whole prepared
 * `g<N>` into place. The outer name is never given back, not even by the collector of old generations: a taker that
 * slept since before generation N was opened and closed must still find its name taken. (Were `g<N>` itself renamed,
 * that taker would open N a second time, and there would be two owners; the model in `test/replica/model.ts` shows it.)
 */
import { HoldfastError } from '../errors.ts'
import { joinPath } from './paths.ts'

export function openPart(generation: string): string {
  return joinPath(generation, 'open')
}

/** Where what was published is listed once the generation is closed. */
export function closedPart(generation: string): string {
  return joinPath(generation, 'closed')
}

/** Who asked for it does not want it any more. */
export function notOpened(directory: string): HoldfastError {
  return new HoldfastError('ABORTED', `${directory} was not opened, as its opener wanted`)
}
