/** A machine of 16 MiB whose firmware counts and says so on the console: it needs no boot, and one disk that it ignores. */
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Driver, Machine, Prepared } from '../../drivers/index.ts'
import { MIB } from '../../src/limits.ts'
import type { MachineSummary, StartRequest } from '../../src/machine/types.ts'
import { writeCountingFirmware } from '../drivers/guests.ts'
import type { MachineRig } from './rig.ts'
import { testDriver, until } from './rig.ts'

/** An image with a disk, and what starts a machine on it. */
export async function smallGuest(rig: MachineRig, image: string, disks: readonly string[] = ['disk.raw']): Promise<StartRequest> {
  const firmware = join(rig.directory, 'count.rom')
  writeCountingFirmware(firmware)
  const base = disks.map((name) => {
    const path = join(rig.directory, name)
    writeFileSync(path, name)
    truncateSync(path, MIB)
    return path
  })
  await rig.engine.createImage({ image, base })
  return {
    image, disks: [], memoryBytes: 16 * MIB, cpus: 1, accelerator: 'tcg', machineType: 'microvm', firmware,
    network: 'none', hostForwards: [], extraArguments: [],
  }
}

export function spokenBytes(summary: MachineSummary): number {
  return statSync(join(dirname(summary.console), 'console.log')).size
}

export function spoken(summary: MachineSummary): string {
  return readFileSync(join(dirname(summary.console), 'console.log'), 'latin1')
}

/** Waits until the guest has counted on. */
export async function counting(rig: MachineRig, image: string): Promise<void> {
  const summary = rig.machines.summaries(image)[0]
  const before = spokenBytes(summary)
  await until(() => spokenBytes(summary) > before)
}

export type MachineStep = 'quiesce' | 'saveState' | 'resume'
export type Interference = (machine: Machine, step: MachineStep, when: 'before' | 'after') => Promise<void> | void

/** The real driver, with something done before and after each step of a checkpoint. */
export function interferingDriver(interfere: Interference): Driver {
  const driver = testDriver()
  const wrapped = (machine: Machine): Machine => wrap(machine, {
    async around(name, step) {
      if (name !== 'quiesce' && name !== 'saveState' && name !== 'resume') return step()
      await interfere(machine, name, 'before')
      const result = await step()
      await interfere(machine, name, 'after')
      return result
    },
  })
  return wrap(driver, {
    async around(name, step) {
      if (name === 'start') return wrapped(await step() as Machine)
      if (name !== 'prepare') return step()
      return wrap(await step() as Prepared, {
        around: async (inner, load) => inner === 'load' ? wrapped(await load() as Machine) : load(),
      })
    },
  })
}

interface Wrapping {
  around(name: string | symbol, step: () => Promise<unknown>): Promise<unknown>
}

const stepNames = new Set<string | symbol>(['start', 'prepare', 'load', 'quiesce', 'saveState', 'resume'])

function wrap<T extends object>(target: T, { around }: Wrapping): T {
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args)
      return stepNames.has(name) ? (...args: unknown[]) => around(name, async () => call(...args)) : call
    },
  })
}

/** Flush processes that this process started. */
export function flushProcesses(): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      return parent === process.pid && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('flush-process')
    } catch {
      return false
    }
  })
}
