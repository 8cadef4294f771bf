import { constants } from 'node:os'

/**
 * What an operation answers when it fails: a negative number, as the kernel wants it on the wire
 * (`-ERRNO.ENOENT`). Errnos are returned, never thrown.
 */
export type Errno = number

/** The positive errno numbers of this machine, by name. */
export const ERRNO: Readonly<typeof constants.errno> = constants.errno

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))
// Linux has two names for one number; the one that the manual pages of the calls use wins.
names.set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP')
names.set(constants.errno.EAGAIN, 'EAGAIN')

/** The name of an errno of either sign, for messages and traces. */
export function errnoName(errno: Errno): string {
  return names.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`
}
