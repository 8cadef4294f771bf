/** A machine found again by a daemon that did not start it. */
import { within } from '../deadline.ts'
import type { CallLimit } from '../deadline.ts'
import type { Handle, Machine } from '../driver.ts'
import { DriverError } from '../errors.ts'
import type { Host, HostProcess, SocketDirectory } from '../host.ts'
import { limits } from '../limits.ts'
import { Control } from './control.ts'
import { listOf, objectOf, textOf } from './json.ts'
import { QemuMachine } from './machine.ts'
import { QmpClient } from './qmp.ts'
import { runFiles, runPath } from './rundir.ts'
import { RunStateTracker } from './runstate.ts'
import { isMigrationEnd, prepareSaves } from './save.ts'

/** See `Driver.adopt`. */
export async function adopt(host: Host, handle: Handle, limit: CallLimit = {}): Promise<Machine> {
  const startMs = host.nowMs()
  const process = host.find(handle.process)
  if (process === null) throw new DriverError('GONE', `Process ${handle.process.pid} has ended.`)
  const sockets = host.openSockets(handle.binding.runDirectory)
  try {
    const control = await connect(process, sockets, limit)
    try {
      return await settle(host, control, sockets, handle, startMs)
    } catch (error) {
      control.qmp.close()
      throw error
    }
  } catch (error) {
    process.release()
    sockets.close()
    throw error
  }
}

/** See `Driver.reap`. */
export async function reap(host: Host, handle: Handle): Promise<void> {
  const process = host.find(handle.process)
  if (process === null) return
  process.kill('SIGKILL')
  await within(process.exited, limits.killTimeoutMs, 'The end of the killed hypervisor').finally(() =>
    process.release(),
  )
}

async function connect(process: HostProcess, sockets: SocketDirectory, limit: CallLimit): Promise<Control> {
  try {
    return new Control(process, await QmpClient.open(await sockets.connect(runFiles.adoptSocket), limit))
  } catch (error) {
    if (!process.alive())
      throw new DriverError('GONE', `Process ${process.identity.pid} has ended.`, { cause: error })
    throw error
  }
}

async function settle(
  host: Host,
  control: Control,
  sockets: SocketDirectory,
  handle: Handle,
  startMs: number,
): Promise<Machine> {
  await cancelSave(control)
  await prepareSaves(control)
  const status = textOf(objectOf(await control.execute('query-status'))['status'])
  if (status === 'inmigrate' || status === 'prelaunch')
    throw new DriverError('WRONG_STATE', 'The machine was prepared and never loaded: reap it.')
  const marked = (await host.readText(runPath(handle.binding.runDirectory, 'pauseMark'))) !== null
  const tracker = new RunStateTracker('unknown')
  tracker.settle(status, marked)
  const ours = tracker.state === 'pausedByUs'
  return new QemuMachine({
    host,
    control,
    sockets,
    plan: handle.plan,
    binding: handle.binding,
    state: tracker.state,
    loaded: false,
    pause: { paused: ours, armed: await isArmed(control), spent: status === 'postmigrate' },
    timings: { adoptMs: host.nowMs() - startMs },
    warnings: [],
  })
}

async function isArmed(control: Control): Promise<boolean> {
  const all = listOf(await control.execute('query-migrate-capabilities')).map(objectOf)
  return all.some(({ capability, state }) => capability === 'x-ignore-shared' && state === true)
}

/** A save whose daemon has died has nobody to take it. */
async function cancelSave(control: Control): Promise<void> {
  using end = control.event(isMigrationEnd)
  const status = textOf(objectOf(await control.execute('query-migrate'))['status'])
  if (!['setup', 'active', 'device', 'cancelling', 'pre-switchover'].includes(status)) return
  await control.execute('migrate_cancel')
  await within(end, limits.cancelTimeoutMs, 'Cancelling a save')
}
