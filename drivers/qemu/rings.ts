import { isDriverError } from '../errors.ts'
import type { Control } from './control.ts'
import { listOf, numberOf, objectOf, textOf } from './json.ts'

/** Parts of a queue that a device looks into when its state is loaded. */
const parts = ['vring-desc', 'vring-avail', 'vring-used'] as const
/** More than any machine of ours has: every queue is a question. */
const queuesMax = 64

/**
 * Where the queues of the virtio devices lie in guest-physical memory. QEMU 7.2 and newer say it, in commands that may
 * change (`x-query-virtio`): what cannot be learnt is left out.
 */
export async function queueAddresses(control: Control): Promise<number[]> {
  try {
    const addresses = new Set<number>()
    for (const device of listOf(await control.execute('x-query-virtio'))) {
      const path = textOf(objectOf(device)['path'])
      const status = objectOf(await control.execute('x-query-virtio-status', { path }))
      const count = Math.min(queuesMax, numberOf(status['num-vqs']) || 0)
      for (let queue = 0; queue < count; queue += 1) {
        const found = objectOf(await control.execute('x-query-virtio-queue-status', { path, queue }))
        for (const part of parts) if (numberOf(found[part]) > 0) addresses.add(numberOf(found[part]))
      }
    }
    return [...addresses]
  } catch (error) {
    if (isDriverError(error, 'COMMAND_FAILED')) return []
    throw error
  }
}
