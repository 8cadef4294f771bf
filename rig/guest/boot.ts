import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Console } from './console.ts'
import type { AppendOptions, Guest } from './index.ts'

const mebibyte = 1024 * 1024

export interface BootOptions {
  readonly machine: 'microvm' | 'q35'
  /** A disk to write to; by default the guest's own, with the writes thrown away at the end. */
  readonly disk?: string
  /** Start from the disk's boot loader (q35 only, with a firmware disk) and not from kernel and initrd. */
  readonly firmware?: boolean
  readonly memoryMib?: number
  readonly append?: AppendOptions
  /** More arguments for QEMU. */
  readonly extra?: readonly string[]
}

/**
 * A guest in a plain QEMU under TCG, with nothing of Holdfast: to test the guest itself, and for comparison. Its
 * memory is a file without a name in /dev/shm, so that even a killed test leaves none; so does QEMU, which ends with
 * the process that started it.
 */
export class BootedGuest {
  readonly console: Console
  readonly pid: number
  /** An open descriptor of the guest's memory, for `findCounterPage`. */
  readonly memory: number
  readonly memoryBytes: number
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #closed = false

  private constructor(child: ChildProcess, ended: Promise<void>, serial: Console, memory: number, memoryBytes: number) {
    this.#child = child
    this.#ended = ended
    this.console = serial
    this.pid = child.pid!
    this.memory = memory
    this.memoryBytes = memoryBytes
  }

  /** Starts it; the guest has not booted when this returns (`console.ready()` waits for that). */
  static async start(guest: Guest, options: BootOptions): Promise<BootedGuest> {
    const directory = mkdtempSync(join(tmpdir(), 'boot-'))
    const memoryPath = `${mkdtempSync('/dev/shm/holdfast-')}/memory`
    const memory = openSync(memoryPath, 'wx+', 0o600)
    const args = commandLine(guest, options, memoryPath, join(directory, 'serial'))
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args], { stdio: ['ignore', 2, 2] })
    const ended = new Promise<void>((resolve) => {
      child.once('error', () => resolve())
      child.once('close', () => resolve())
    })
    try {
      const serial = await Promise.race([
        Console.connect(join(directory, 'serial')),
        ended.then(() => { throw new Error('QEMU ended at its start'); }),
      ])
      return new BootedGuest(child, ended, serial, memory, memoryMib(options) * mebibyte)
    } catch (error) {
      child.kill('SIGKILL')
      closeSync(memory)
      throw error
    } finally {
      rmSync(join(memoryPath, '..'), { recursive: true })
      rmSync(directory, { recursive: true })
    }
  }

  /** Kills QEMU and waits for its end. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.console.close()
    this.#child.kill('SIGKILL')
    await this.#ended
    closeSync(this.memory)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function memoryMib(options: BootOptions): number {
  return options.memoryMib ?? 512
}

function commandLine(guest: Guest, options: BootOptions, memoryPath: string, serialPath: string): string[] {
  const firmware = options.firmware === true
  const disk = options.disk ?? (firmware ? guest.firmwareDisk : guest.disk)
  if (disk === undefined) throw new TypeError('the guest was built without a firmware disk')
  const size = `${memoryMib(options)}M`
  const kernel = ['-kernel', guest.kernel, '-initrd', guest.initrd, '-append', guest.append(options.append)]
  return [
    '-M', options.machine, '-accel', 'tcg', '-m', size, '-no-user-config', '-nodefaults',
    '-display', 'none', '-no-reboot',
    '-object', `memory-backend-file,id=memory,size=${size},mem-path=${memoryPath},share=on`,
    '-machine', 'memory-backend=memory',
    '-drive', `if=none,id=disk,format=raw,file=${disk},snapshot=${options.disk === undefined ? 'on' : 'off'}`,
    '-device', `${options.machine === 'microvm' ? 'virtio-blk-device' : 'virtio-blk-pci'},drive=disk`,
    '-serial', `unix:${serialPath},server=on,wait=off`,
    ...(firmware ? [] : kernel),
    ...(options.extra ?? []),
  ]
}
