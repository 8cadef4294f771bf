/** The demo from its first step to its table. Nothing is kept from an earlier run but the built guest. */
import { takeCheckpoints } from './checkpoints.ts'
import { killHypervisor, resumeLast } from './crash.ts'
import { checkDisk } from './disk.ts'
import { forkOlder } from './fork.ts'
import type { Epoch } from './records.ts'
import { IMAGE } from './stage.ts'
import type { Stage } from './stage.ts'
import { buildGuest, createImage, startMachine } from './start.ts'
import { rowsOf, tableText } from './table.ts'
import type { Row } from './table.ts'

export interface DemoResult {
  readonly epochs: Row[]
  readonly checks: Stage['story']['checks']
  readonly steps: Stage['story']['steps']
}

/** @throws DemoFailure when anything is not as it must be. */
export async function runDemo(stage: Stage): Promise<DemoResult> {
  const { story, holdfast, options } = stage
  const guest = await story.step('A Debian guest', () => buildGuest(stage))
  await story.step('A store, and an image made from the guest’s disk', () => createImage(stage, guest))
  const running = await story.step('A machine that runs from the image', () => startMachine(stage, guest))
  const title = `Checkpoints every ${options.every}: disk, memory and devices in one cut`
  const taken = await story.step(title, () => takeCheckpoints(stage, running.machine))
  const mark = await story.step('The hypervisor is killed', () => killHypervisor(stage, running))
  const resumed = await story.step('It resumes from the last epoch', () => resumeLast(stage, running, mark))
  await story.step('The disk of that epoch as a plain file', () => checkDisk(stage, resumed.epoch))
  const forked = await story.step('An older epoch runs on beside it', () => forkOlder(stage, taken[0], resumed))
  const { result: epochs } = await holdfast.ask<Epoch[]>('log', IMAGE)
  const rows = rowsOf(epochs, [resumed, forked])
  story.say(`\n${tableText(rows)}\n`)
  story.say(`All ${story.checks.length} expectations held.`)
  return { epochs: rows, checks: story.checks, steps: story.steps }
}
