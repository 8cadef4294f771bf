/** What a daemon that died left of its machines: processes without a served mount, and stale mounts. */
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
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
      else killUnjournalled(env, runDirectory)
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

/** A daemon may die before it wrote the journal of a hypervisor that it had started, in the run directory. */
function killUnjournalled(env: Env, runDirectory: string): void {
  for (const name of env.readdir('/proc').filter((each) => /^\d+$/.test(each))) {
    if (workingDirectory(env, name) === runDirectory) process.kill(Number(name), 'SIGKILL')
  }
}

/** Null for a process that has ended, or is not ours to look at. */
function workingDirectory(env: Env, name: string): string | null {
  try {
    return env.readlink(join('/proc', name, 'cwd')).toString()
  } catch (error) {
    if (error instanceof HoldfastError && isCode(error, 'NOT_FOUND', 'IO')) return null
    throw error
  }
}
