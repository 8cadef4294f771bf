/** From nothing to a guest that counts: the guest's disk, a store, an image, a machine. */
import { readFileSync } from 'node:fs'
import { Console } from '../guest/console.ts'
import { guest } from '../guest/index.ts'
import type { Guest } from '../guest/index.ts'
import { ConsoleLog } from './console-log.ts'
import type { Epoch, Machine } from './records.ts'
import { demoLoad } from './load.ts'
import { IMAGE } from './stage.ts'
import type { Running, Stage } from './stage.ts'
import { bytesText, timeText } from './story.ts'

/** Under TCG on a busy host. */
const bootTimeoutMs = 400_000
const firstNumbers = 20

export const commandBootId = 'cat /proc/sys/kernel/random/boot_id'

export async function buildGuest({ story }: Stage): Promise<Guest> {
  story.seen('Debian with its own kernel and SQLite, built from packages (some minutes) and then cached')
  const startMs = performance.now()
  const built = await guest()
  story.seen(`${built.directory} (${timeText(performance.now() - startMs)})`)
  return built
}

export async function createImage({ story, holdfast }: Stage, guest: Guest): Promise<void> {
  await holdfast.run('init')
  const { commandMs } = await holdfast.run('create', IMAGE, '--base', guest.disk)
  const [base] = (await holdfast.ask<Epoch[]>('log', IMAGE)).result
  const stored = base.storedBytes === null ? '' : `, ${bytesText(base.storedBytes)} stored`
  story.seen(`${IMAGE}@0 holds the disk${stored}; the disk's file is not needed any more (${timeText(commandMs)})`)
}

export async function startMachine(stage: Stage, guest: Guest): Promise<Running> {
  const { options, story, holdfast, signal } = stage
  const startMs = performance.now()
  const { result: machine, commandMs } = await holdfast.run<Machine>(
    'vm', 'start', IMAGE, '--disk', '/disk.raw', '--memory', options.memory, '--machine', options.machine,
    '--accel', options.accelerator, '--kernel', guest.kernel, '--initrd', guest.initrd,
    '--append', guest.append(demoLoad),
  )
  const kind = `${machine.machineType}, ${machine.accelerator}`
  story.seen(`QEMU runs as process ${machine.pid} (${kind}; ${timeText(commandMs)})`)
  for (const notice of [...machine.alarms, ...machine.notices]) story.seen(`note: ${notice}`)
  const numbers = await new ConsoleLog(machine).waitForCounters(firstNumbers, 0, bootTimeoutMs, signal)
  const bootMs = performance.now() - startMs - commandMs
  story.seen(`the guest has booted (${timeText(bootMs)}) and inserts rows, each in a synced transaction:`)
  story.seen(`${numbers.slice(-5).join(', ')} ...`)
  story.seen(`its disk and its memory are files on a Holdfast mount: ${mountOf(machine)}`)
  return { guest, machine, bootId: await guestOutput(machine, commandBootId) }
}

/** What a command prints in the guest. @throws RigError TIMEOUT. */
export async function guestOutput(machine: Machine, command: string): Promise<string> {
  using console = await Console.connect(machine.console)
  await console.ready()
  const { code, output } = await console.run(command)
  if (code !== 0) throw new Error(`in the guest, ${command} ended with ${code}: ${output}`)
  return output
}

/** Not what Holdfast says, but what the kernel says that the hypervisor has mapped. */
function mountOf({ pid }: Machine): string {
  const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')
  return maps.find((line) => line.includes('machine.memory'))?.replace(/^(?:\S+\s+){5}/, '') ?? 'nothing is mapped'
}
