/** The hypervisor is killed, and the guest goes on where its last epoch was cut. */
import { setTimeout as sleep } from 'node:timers/promises'
import { counterIn } from './checkpoints.ts'
import { ConsoleLog } from './console-log.ts'
import type { LogMark } from './console-log.ts'
import { DemoFailure } from './failure.ts'
import type { Epoch, Machine, Resumed } from './records.ts'
import { IMAGE, machineEpochs, machineOf } from './stage.ts'
import type { Running, Stage } from './stage.ts'
import { commandBootId, guestOutput } from './start.ts'
import { timeText } from './story.ts'

const killTimeoutMs = 120_000
const countTimeoutMs = 240_000
const pollMs = 200
const numbersSeen = 5
const linesInSerialPortMax = 3
const DATABASE = '/var/lib/workload/counter.db'

/** An epoch that was resumed, and what it cost. */
export interface Resumption {
  readonly machine: Machine
  readonly epoch: Epoch
  /** As the command says. */
  readonly resumeMs: number
  /** From the start of the command's process to its end. */
  readonly commandMs: number
}

/** Kills the hypervisor as far from a cut as can be. Returns how far its guest's console had come. */
export async function killHypervisor(stage: Stage, { machine }: Running): Promise<LogMark> {
  const { options, story, signal } = stage
  await sleep(options.everyMs / 2, undefined, { signal })
  const log = new ConsoleLog(machine)
  const pid = machine.pid!
  story.command(['kill', '-KILL', String(pid)])
  process.kill(pid, 'SIGKILL')
  const dead = await waitForEnd(stage, pid)
  story.seen(`the guest had counted to ${log.counters().at(-1)}; the machine is now ${dead.state}`)
  return log.mark()
}

/** Resumes the newest epoch and holds what the guest does against what is in the epoch's memory. */
export async function resumeLast(stage: Stage, running: Running, mark: LogMark): Promise<Resumption> {
  const { story, holdfast } = stage
  const newest = (await machineEpochs(stage, IMAGE)).at(-1)!
  const { result, commandMs } = await holdfast.run<Resumed>('vm', 'resume', IMAGE)
  // A cut from before the kill may have become durable since the look.
  const holds = result.epoch.number >= newest.number
  story.expect(holds, 'the newest epoch with a machine is resumed', `${IMAGE}@${result.epoch.number}`)
  story.seen(`the guest runs ${timeText(result.resumeMs)} after the command arrived, ${timeText(commandMs)} in all`)
  await goesOn(stage, result, mark)
  await isTheSameGuest(stage, result.machine, running)
  story.proves('memory, processors, devices and disk are those of one moment; nothing was started anew')
  return { ...result, commandMs }
}

/** The guest's next number is the one after the epoch's, and it has not booted. */
export async function goesOn(stage: Stage, { machine, epoch }: Resumed, mark?: LogMark): Promise<void> {
  const { story, signal } = stage
  const log = new ConsoleLog(machine, mark)
  const { committed } = await counterIn(stage, epoch)
  const numbers = await log.waitForCounters(numbersSeen, committed, countTimeoutMs, signal)
  const seen = numbers.slice(0, numbers.indexOf(committed) + 1 + numbersSeen).join(', ')
  story.expect(continues(numbers, committed), `the guest goes on at ${committed + 1}, the next number`, seen)
  const messages = log.bootMessages()
  story.expect(messages.length === 0, 'it did not boot', messages[0] ?? 'no message of a boot on its console')
}

/**
 * Whether the numbers of a resumed guest are those after the one that it had committed, none missing and none twice.
 * Lines that were still in the serial port at the cut come out after the resume, so they may begin a little earlier.
 */
export function continues(numbers: readonly number[], committed: number): boolean {
  const [first] = numbers
  const oldest = committed + 1 - linesInSerialPortMax
  return first >= oldest && first <= committed + 1 && numbers.every((number, index) => number === first + index)
}

/** Memory, processes and database are those of before. */
async function isTheSameGuest({ story }: Stage, machine: Machine, { bootId }: Running): Promise<void> {
  const now = await guestOutput(machine, commandBootId)
  story.expect(now === bootId, "the kernel's boot id is that of the first start", now)
  await databaseIsSound(story, machine)
}

export async function databaseIsSound(story: Stage['story'], machine: Machine): Promise<void> {
  const integrity = await guestOutput(machine, `sqlite3 ${DATABASE} 'pragma integrity_check'`)
  story.expect(integrity === 'ok', `pragma integrity_check in ${machine.image}`, integrity)
  const rows = await guestOutput(machine, `sqlite3 ${DATABASE} 'select count(*), max(n) from counter'`)
  const [count, highest] = rows.split('|')
  story.expect(count === highest, 'every number has its row', `${count} rows up to ${highest}`)
}

async function waitForEnd(stage: Stage, pid: number): Promise<Machine> {
  const deadlineMs = performance.now() + killTimeoutMs
  for (;;) {
    const machine = await machineOf(stage, IMAGE)
    if (machine !== undefined && machine.state !== 'running' && machine.state !== 'paused') return machine
    if (performance.now() > deadlineMs) throw new DemoFailure(`Holdfast has not seen the end of process ${pid}`)
    await sleep(pollMs, undefined, { signal: stage.signal })
  }
}
