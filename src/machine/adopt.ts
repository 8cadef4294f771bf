/** What a daemon that died left of its machines: processes without a served mount, and stale mounts. */
import { messageOf } from '../errors.ts'
import { cleanStaleMount } from '../mount/stale.ts'
import type { MachineContext } from './context.ts'
import { driving } from './driver-errors.ts'
import type { MachineTraits } from './image-machine.ts'
import { findJournals, mountDirectory, removeRunDirectory } from './journal.ts'

export interface Orphan {
  image: string
  traits: MachineTraits
}

/**
 * Kills each process that a journal names, if it is still that process, takes its mount away and removes its run
 * directory. What cannot be cleaned is told as an event, and stays.
 */
export async function adoptAll(context: MachineContext): Promise<Orphan[]> {
  const { env, driver, directory, onEvent } = context
  const orphans: Orphan[] = []
  for (const { runDirectory, journal } of findJournals(env, directory)) {
    try {
      if (journal !== null) await driving('ending a machine without a daemon', driver.reap(journal.handle))
      await cleanStaleMount(mountDirectory(runDirectory))
      removeRunDirectory(env, runDirectory)
    } catch (error) {
      onEvent({ type: 'machine', image: journal?.image ?? '', message: `${runDirectory}: ${messageOf(error)}` })
    }
    if (journal === null) continue
    const { accelerator, machineType, spec } = journal.handle.plan
    orphans.push({ image: journal.image, traits: { accelerator, machineType, memoryBytes: spec.memoryBytes } })
  }
  return orphans
}
