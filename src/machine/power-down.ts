/** The end of a machine as its guest sees it: it is asked, and nothing is done to one that does not want to. */
import { HoldfastError } from '../errors.ts'
import type { CallOptions } from '../image/types.ts'
import { driving } from './driver-errors.ts'
import type { ImageMachine } from './image-machine.ts'
import type { Incarnation } from './incarnation.ts'

/**
 * Asks the guest to power down. On return its hypervisor has ended; on failure the guest goes on, and its schedule of
 * checkpoints with it. Errors: MACHINE (it is paused), MACHINE_TIMEOUT (it did not), ABORTED.
 */
export async function powerDown(
  machine: ImageMachine, life: Incarnation, timeoutMs: number, { signal, progress }: CallOptions,
): Promise<void> {
  const { image } = machine
  const state = life.machine.state()
  if (state.startsWith('paused')) {
    throw new HoldfastError('MACHINE', `the guest of ${image} is paused and hears nothing: ${forced(image)}`)
  }
  if (state === 'exited' || state === 'shutdown') return
  progress?.({ step: 'waiting for the guest to power down', done: 0, total: 1, unit: 'steps' })
  life.isEnding = true
  try {
    await machine.checkpoints.halt()
    if (await driving(`stopping ${image}`, life.machine.powerDown({ timeoutMs, signal })) !== null) return
    const waited = `the guest of ${image} was asked to power down and did not in ${timeoutMs / 1000} s`
    throw new HoldfastError('MACHINE_TIMEOUT', `${waited}; it goes on: try again, or ${forced(image)}`)
  } catch (error) {
    // Nobody else looks after its end while it is being ended.
    if (life.machine.state() === 'exited') return
    life.isEnding = false
    throw error
  }
}

function forced(image: string): string {
  return `end it with 'holdfast vm stop ${image} --force'`
}
