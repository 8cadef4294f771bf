/**
 * What a process that died left of its machines. Where the mount goes on, so does the machine: its hypervisor is
 * found again, and let go on if it was paused by us. Else nobody can serve its memory, and it is ended.
 */
import { join } from 'node:path'
import type { Env } from '../env/env.ts'
import { HoldfastError, isCode, messageOf } from '../errors.ts'
import type { ImageMount } from '../mount/image-mount.ts'
import { cleanStaleMount } from '../mount/stale.ts'
import type { MachineContext } from './context.ts'
import { driving } from './driver-errors.ts'
import type { MachineTraits } from './image-machine.ts'
import { Incarnation } from './incarnation.ts'
import { findJournals, mountDirectory, removeRunDirectory } from './journal.ts'
import type { Journal } from './journal.ts'

export interface Orphan {
  image: string
  traits: MachineTraits
}

export interface Adopted {
  lives: { life: Incarnation; everyMs: number | null }[]
  /** Machines that were ended. */
  orphans: Orphan[]
}

interface Found {
  runDirectory: string
  journal: Journal | null
}

export async function adoptAll(context: MachineContext): Promise<Adopted> {
  const { env, directory, onEvent, reopenMount } = context
  const adopted: Adopted = { lives: [], orphans: [] }
  const tell = ({ journal, runDirectory }: Found, error: unknown): void =>
    onEvent({ type: 'machine', image: journal?.image ?? '', message: `${runDirectory}: ${messageOf(error)}` })
  for (const found of findJournals(env, directory)) {
    const { runDirectory, journal } = found
    const mount = reopenMount(runDirectory)
    if (mount !== null && journal !== null) {
      try {
        const life = await goOn(context, runDirectory, journal, mount)
        adopted.lives.push({ life, everyMs: journal.everyMs ?? null })
        continue
      } catch (error) {
        tell(found, error)
      }
    }
    await end(context, found, mount).catch((error: unknown) => tell(found, error))
    if (journal === null) continue
    const { accelerator, machineType, spec } = journal.handle.plan
    adopted.orphans.push({ image: journal.image, traits: { accelerator, machineType, memoryBytes: spec.memoryBytes } })
  }
  return adopted
}

async function goOn(
  context: MachineContext, runDirectory: string, { image, handle }: Journal, mount: ImageMount,
): Promise<Incarnation> {
  const { env, driver, limits } = context
  const limit = { timeoutMs: limits.startTimeoutMs }
  const machine = await driving(`finding the machine of ${image} again`, driver.adopt(handle, limit))
  if (machine.state() === 'pausedByUs') {
    await driving(`letting ${image} go on`, machine.quiesce().then((quiet) => machine.resume(quiet)))
  }
  const life = Incarnation.adopt(env, image, runDirectory, mount)
  life.take(machine)
  return life
}

/**
 * Kills the process that the journal names, if it is still that process, takes the mount away and removes the run
 * directory. What cannot be cleaned stays.
 */
async function end(
  { env, driver }: MachineContext, { runDirectory, journal }: Found, mount: ImageMount | null,
): Promise<void> {
  if (journal !== null) await driving('ending a machine without a daemon', driver.reap(journal.handle))
  else killUnjournalled(env, runDirectory)
  await mount?.close({ lazy: true, force: true })
  await cleanStaleMount(mountDirectory(runDirectory))
  removeRunDirectory(env, runDirectory)
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
