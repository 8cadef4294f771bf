/** What the system says of another process. */
import { readFileSync } from 'node:fs'

/** Flag of a task that is on its way out, in field 9 of /proc/PID/stat; PF_EXITING of linux/sched.h. */
const exitingFlag = 0x4

/**
 * Whether there is no such process, or one that runs no more: what it had open is closed, or about to be. It may wait
 * for its parent to notice, for as long as that has other things to do, and can be sent signals until then.
 */
export function hasEnded(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The program's name, in parentheses, may hold anything.
    const [state, , , , , , flags] = stat.slice(stat.lastIndexOf(') ') + 2).split(' ')
    return state === 'Z' || state === 'X' || (Number(flags) & exitingFlag) !== 0
  } catch {
    return true
  }
}
