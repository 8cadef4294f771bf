/** A guest whose memory cannot be written for want of space. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { MachineContext } from './context.ts'
import { driving } from './driver-errors.ts'
import type { Incarnation } from './incarnation.ts'

/**
 * Pauses the guest until none of its memory's writes waits. Errors: MACHINE, MACHINE_TIMEOUT, MACHINE_GONE: when
 * the guest is frozen already its hypervisor may not answer, and it goes on by itself once there is space.
 */
export async function holdWhileParked(life: Incarnation, { limits }: MachineContext): Promise<void> {
  const { machine, mount, image } = life
  const quiet = await driving(`pausing ${image}`, machine.quiesce({ timeoutMs: limits.quiesceTimeoutMs }))
  do {
    await sleep(limits.spaceCheckMs)
  } while (!life.isEnding && (await mount.statistics()).parked > 0)
  if (!life.isEnding) await driving(`letting ${image} go on`, machine.resume(quiet))
}
