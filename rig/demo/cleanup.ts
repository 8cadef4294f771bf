/** What the demo started ends with it: machines, daemon, mounts; and its directory, unless it is kept. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Holdfast } from './holdfast.ts'
import type { Daemon, Machine } from './records.ts'

const graceMs = 30_000

/**
 * Ends all that belongs to the store, first by asking, then by force, and returns what had to be forced. The
 * commands run whatever was aborted before: give a Holdfast without a signal.
 */
export async function cleanUp(holdfast: Holdfast, directory: string, keep: boolean): Promise<string[]> {
  const forced: string[] = []
  if (await daemonRuns(holdfast)) {
    await stopMachines(holdfast).catch((error: Error) => forced.push(error.message))
    await holdfast.ask('daemon', 'stop', '--force').catch((error: Error) => forced.push(error.message))
  }
  await processesEnd(directory)
  for (const pid of processesOf(directory)) {
    forced.push(`process ${pid} killed`)
    kill(pid)
  }
  await processesEnd(directory)
  for (const point of mountsBelow(directory)) {
    forced.push(`${point} unmounted`)
    spawnSync('umount', ['-l', point])
  }
  if (!keep && mountsBelow(directory).length === 0) rmSync(directory, { recursive: true, force: true })
  return forced
}

async function daemonRuns(holdfast: Holdfast): Promise<boolean> {
  try {
    return (await holdfast.ask<Daemon>('daemon', 'status')).result.running
  } catch {
    // There is no store yet, or its daemon does not answer: then it is killed.
    return false
  }
}

async function stopMachines(holdfast: Holdfast): Promise<void> {
  const { result: machines } = await holdfast.ask<Machine[]>('vm', 'status')
  for (const { image, state } of machines) {
    if (state === 'running' || state === 'paused') await holdfast.ask('vm', 'stop', image, '--force')
  }
}

/** Waits for their end, a grace at most. */
async function processesEnd(directory: string): Promise<void> {
  const deadlineMs = performance.now() + graceMs
  while (processesOf(directory).length > 0 && performance.now() < deadlineMs) await sleep(50)
}

/** Hypervisors and processes of Holdfast that name the demo's directory; nobody else's do. */
function processesOf(directory: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number)
  return pids.filter((pid) => pid !== process.pid && isOurs(pid, directory))
}

function isOurs(pid: number, directory: string): boolean {
  try {
    const program = readlinkSync(`/proc/${pid}/exe`)
    const known = program === realpathSync(process.execPath) || basename(program).startsWith('qemu-')
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return known && words.some((word) => word === directory || word.includes(`${directory}/`))
  } catch {
    // It has ended, or is a thread of the kernel.
    return false
  }
}

/** Kills all that belongs to a directory, in no order, and waits for its end. Returns whom. */
export async function killProcessesOf(directory: string): Promise<number[]> {
  const pids = processesOf(directory)
  for (const pid of pids) kill(pid)
  await processesEnd(directory)
  return pids
}

export function mountsBelow(directory: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map((line) => line.split(' ')[4] ?? '')
  return points.filter((point) => point.startsWith(`${directory}/`))
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
