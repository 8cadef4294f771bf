/** Checkpoints every few seconds, until there are enough; then the hypervisor is killed and resumed. */
import { openSync, closeSync, fstatSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findCounterPage } from '../guest/page.ts'
import type { CounterPage } from '../guest/page.ts'
import { DemoFailure } from './failure.ts'
import { machineEpochs, machineOf } from './stage.ts'
import type { Stage } from './stage.ts'
import type { Epoch, Machine } from './records.ts'
import { bytesText, timeText } from './story.ts'

/** Time to come for one checkpoint beyond its period. */
const checkpointTimeoutMs = 120_000
const pollMs = 500

/** Sets the schedule and waits for the epochs. */
export async function takeCheckpoints(stage: Stage, machine: Machine): Promise<Epoch[]> {
  const { options, story, holdfast, signal } = stage
  await holdfast.run('vm', 'checkpoint', machine.image, '--every', options.every)
  story.seen('the daemon checkpoints from now on; each line is an epoch that is on the disk:')
  let told = 0
  let deadlineMs = 0
  for (;;) {
    const epochs = await machineEpochs(stage, machine.image)
    for (const epoch of epochs.slice(told)) story.seen(epochLine(epoch))
    if (epochs.length >= options.epochsCount) return epochs
    const nowMs = performance.now()
    if (epochs.length > told || deadlineMs === 0) deadlineMs = nowMs + options.everyMs + checkpointTimeoutMs
    if (nowMs > deadlineMs) await failWithStatus(stage, machine.image)
    told = epochs.length
    await sleep(Math.max(pollMs, options.everyMs / 4), undefined, { signal })
  }
}

/** The workload's page in an epoch's memory. @throws DemoFailure when the memory has none. */
export async function counterIn({ holdfast, story, directory }: Stage, epoch: Epoch): Promise<CounterPage> {
  const file = join(directory, `memory-${epoch.image}-${epoch.number}`)
  await holdfast.run('export', `${epoch.image}@${epoch.number}:/machine.memory`, file)
  const descriptor = openSync(file, 'r')
  try {
    const page = findCounterPage(descriptor, fstatSync(descriptor).size)
    if (page === undefined) throw new DemoFailure(`the memory of ${epoch.image}@${epoch.number} has no counter`)
    story.seen(`in the memory of ${epoch.image}@${epoch.number} the last number committed is ${page.committed}`)
    return page
  } finally {
    closeSync(descriptor)
    rmSync(file)
  }
}

function epochLine({ image, number, pauseMs, writtenBytes, storedBytes }: Epoch): string {
  const pause = pauseMs === null ? '?' : timeText(pauseMs)
  const stored = bytesText(storedBytes ?? 0)
  return `${image}@${number}: pause ${pause}, ${bytesText(writtenBytes)} written, ${stored} stored`
}

async function failWithStatus(stage: Stage, image: string): Promise<never> {
  const machine = await machineOf(stage, image)
  const state = `${machine?.state ?? 'gone'}: ${machine?.lastError ?? 'no error'}`
  throw new DemoFailure(`no new checkpoint came; the machine is ${state}`)
}
