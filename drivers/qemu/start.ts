import type { CallLimit } from '../deadline.ts'
import type { Binding, Machine, Plan } from '../driver.ts'
import type { Host } from '../host.ts'
import { Control } from './control.ts'
import { launch } from './launch.ts'
import { QemuMachine } from './machine.ts'
import { prepareSaves } from './save.ts'

/** A machine that runs: see `Driver.start`. */
export async function start(host: Host, plan: Plan, binding: Binding, limit?: CallLimit): Promise<Machine> {
  const { process, qmp, sockets, timings, warnings } = await launch(host, plan, binding, 'start', limit)
  const control = new Control(process, qmp)
  try {
    const machine = new QemuMachine({
      host,
      control,
      sockets,
      plan,
      binding,
      state: 'running',
      pause: { paused: false, armed: false, spent: false },
      loaded: false,
      timings: { ...timings },
      warnings,
    })
    await prepareSaves(control)
    if (machine.ports[0]?.attachment === null) await machine.ports[0].setLink(false)
    return machine
  } catch (error) {
    process.kill('SIGKILL')
    await process.exited
    qmp.close()
    sockets.close()
    throw error
  }
}
