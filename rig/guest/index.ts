import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { RigError } from '../errors.ts'
import { append, portableAppend } from './append.ts'
import type { AppendOptions } from './append.ts'

export type { AppendOptions } from './append.ts'

export interface GuestOptions {
  /** Also build `firmwareDisk`. */
  readonly firmware?: boolean
}

/**
 * A Debian guest: paths of read-only files, shared by all who use it. Copy the disk, or put an overlay over it.
 * `disk` has no partition table and boots with `kernel` and `initrd`; `firmwareDisk` boots by itself from the BIOS.
 */
export interface Guest {
  readonly directory: string
  readonly kernel: string
  readonly initrd: string
  readonly disk: string
  readonly firmwareDisk?: string
  /** The kernel's command line for `kernel`. The firmware disk holds its own, portable and without options. */
  append(options?: AppendOptions): string
}

/** The guest, built before or now (about a minute; root and a Debian mirror). @throws RigError BUILD_FAILED. */
export async function guest(options: GuestOptions = {}): Promise<Guest> {
  const directory = cachedDirectory()
  const firmwareDisk = join(directory, 'disk-firmware.raw')
  if (!existsSync(directory)) await build('build.sh', directory, directory, [])
  if (options.firmware === true && !existsSync(firmwareDisk)) {
    await build('firmware.sh', directory, firmwareDisk, [portableAppend()])
  }
  return Object.freeze({
    directory,
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd'),
    disk: join(directory, 'disk.raw'),
    ...(options.firmware === true ? { firmwareDisk } : {}),
    append,
  })
}

/** Named by what the guest is made from: the scripts and files here. */
function cachedDirectory(): string {
  const hash = createHash('sha256').update(portableAppend())
  for (const folder of ['build', 'files']) {
    for (const name of readdirSync(join(import.meta.dirname, folder)).sort()) {
      const content = readFileSync(join(import.meta.dirname, folder, name))
      hash.update(`${folder}/${name} ${content.length}\n`).update(content)
    }
  }
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  return join(cache, 'holdfast', `guest-${hash.digest('hex').slice(0, 16)}`)
}

/**
 * Runs a build script under a lock, unless another builder has made its result meanwhile. Its mounts are in a
 * namespace of its own and go when it goes.
 */
async function build(script: string, directory: string, result: string, args: string[]): Promise<void> {
  if (process.getuid?.() !== 0) throw new RigError('BUILD_FAILED', 'building a guest needs root (debootstrap)')
  mkdirSync(join(directory, '..'), { recursive: true })
  const path = join(import.meta.dirname, 'build', script)
  const unlessThere = '[ -e "$1" ] || { script=$2; shift 2; exec unshare --mount sh "$script" "$@"; }'
  const command = [`${directory}.lock`, 'sh', '-c', unlessThere, 'sh', result, path, directory, ...args]
  const child = spawn('flock', command, { stdio: ['ignore', 2, 2] })
  const failure = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code === 0 ? '' : signal ?? `exit code ${code}`))
  })
  if (failure !== '') throw new RigError('BUILD_FAILED', `${script} ended with ${failure}`)
}
