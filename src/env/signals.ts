/** What the system says of a process's signals. */
import { readFileSync } from 'node:fs'

const sigkillBit = 1n << 8n

/** Whether a thread was killed and is about to end; false when there is no such thread. */
export function isDying(threadId: number): boolean {
  try {
    const status = readFileSync(`/proc/${threadId}/status`, 'latin1')
    const pending = /^SigPnd:\t([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'
    return (BigInt(`0x${pending}`) & sigkillBit) !== 0n
  } catch {
    // It is gone, or hidden from us: then nobody is known to be in a hurry.
    return false
  }
}
