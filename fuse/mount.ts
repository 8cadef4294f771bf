import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { FuseError, systemCode } from './errors.ts'
import { findFusermount } from './fusermount.ts'
import { limits } from './limits.ts'
import { mountAt } from './mountinfo.ts'

export const FUSE_DEVICE = '/dev/fuse'
export const FILE_SYSTEM_TYPE = 'fuse.holdfast'

export interface MountOptions {
  /** An existing empty directory. */
  readonly directory: string
  /** Shown as the mount's source. */
  readonly name: string
  /** An open FUSE device that is not mounted yet; opened here when absent. */
  readonly descriptor?: number
  /**
   * Largest READ: 1 MiB by default. 64 KiB for a VM, whose first touches of mapped memory would
   * otherwise read up to a MiB each.
   */
  readonly readBytesMax?: number
  readonly readOnly?: boolean
  /**
   * Let set-uid bits and device nodes of the files count. Off by default: what a guest wrote into
   * its disk should give nobody power over the host.
   */
  readonly grantsPrivileges?: boolean
  /** Who runs the program `mount`; this process unless another is named. */
  readonly run?: RunProgram
}

/** How a program ended, and what it said on standard error. */
export interface ProgramEnd {
  readonly status: number | null
  readonly message: string
}

/**
 * Runs a program without a shell to its end; descriptors given become 3, 4, ... in it. A large process has a
 * small one do it: a fork costs in proportion to memory. @throws FuseError FUSE_MOUNT_FAILED
 */
export type RunProgram = (
  program: string, parameters: readonly string[], descriptors: readonly number[],
) => Promise<ProgramEnd>

export interface Mount {
  /** The connection: serve it, pass it on, and close it when done (the mount then answers ENOTCONN). */
  readonly descriptor: number
  /** Absolute and without symbolic links. */
  readonly directory: string
  /** "MAJOR:MINOR". */
  readonly device: string
}

/** Opens /dev/fuse. FUSE_DEVICE_MISSING or FUSE_NO_PERMISSION, with what to do. */
export function openDevice(): number {
  try {
    return openSync(FUSE_DEVICE, 'r+')
  } catch (cause) {
    const code = systemCode(cause)
    if (code === 'EACCES' || code === 'EPERM') {
      throw new FuseError('FUSE_NO_PERMISSION', `${FUSE_DEVICE} may not be opened: run as root`, { cause })
    }
    throw new FuseError(
      'FUSE_DEVICE_MISSING',
      `${FUSE_DEVICE} cannot be opened (${code}): load the module with "modprobe fuse"; ` +
        'in a container pass the device in',
      { cause },
    )
  }
}

/** Lets go of a connection; when nobody else holds it, its mount answers ENOTCONN. */
export function closeDevice(descriptor: number): void {
  closeSync(descriptor)
}

/**
 * Mounts on a directory. What it returns is data that can be posted to the serving thread; it owns
 * nothing: `unmount`, wait until the session has ended, then close the descriptor. (Closed earlier,
 * its number may come to mean another file while the serving thread still reads from it.)
 * The kernel queues requests from then on; a session answers them. Only
 * root can; the kernel checks permissions by mode, owner and group, for all users.
 */
export async function mount(options: MountOptions): Promise<Mount> {
  const { name, readBytesMax = limits.readBytesMax } = options
  if (name === '' || name.includes('\0')) throw new FuseError('FUSE_BAD_OPTION', 'a mount needs a name')
  checkReadBytes(readBytesMax)
  const directory = checkMountPoint(options.directory)
  const descriptor = options.descriptor ?? openDevice()
  try {
    await runMount(options.run ?? runProgram, descriptor, directory, name, optionText(options, readBytesMax))
    const info = mountAt(directory)
    if (info === undefined) throw new FuseError('FUSE_MOUNT_FAILED', `${directory} is not in the mount table`)
    return { descriptor, directory, device: info.device }
  } catch (error) {
    if (options.descriptor === undefined) closeSync(descriptor)
    throw error
  }
}

export interface UnmountOptions {
  /** Detach now, let go when the last file is closed. */
  readonly lazy?: boolean
  /** Abort the connection first: all that waits on it fails. */
  readonly force?: boolean
  /** As of `MountOptions`. */
  readonly run?: RunProgram
}

/**
 * Unmounts what is mounted on the directory. FUSE_NOT_MOUNTED, FUSE_BUSY, FUSE_UNMOUNT_FAILED. Users
 * without root go through fusermount (FUSE_FUSERMOUNT_MISSING), which knows no force: it detaches.
 */
export async function unmount(directory: string, options: UnmountOptions = {}): Promise<void> {
  if (mountAt(directory) === undefined) {
    throw new FuseError('FUSE_NOT_MOUNTED', `nothing is mounted on ${directory}`)
  }
  const [program, ...flags] = process.geteuid?.() === 0 ? umountCommand(options) : fusermountCommand(options)
  const { run = runProgram } = options
  const { status, message } = await run(program, [...flags, '--', directory], [])
  if (status === 0) return
  if (/busy/i.test(message)) {
    throw new FuseError('FUSE_BUSY', `${directory} is in use: close its files, or detach it lazily`)
  }
  throw new FuseError('FUSE_UNMOUNT_FAILED', `cannot unmount ${directory}: ${message}`)
}

function umountCommand({ lazy, force }: UnmountOptions): string[] {
  const words = ['umount', '--internal-only', '--no-canonicalize']
  if (lazy === true) words.push('--lazy')
  if (force === true) words.push('--force')
  return words
}

function fusermountCommand({ lazy, force }: UnmountOptions): string[] {
  const words = [findFusermount(), '-u']
  if (lazy === true || force === true) words.push('-z')
  return words
}

function optionText(options: MountOptions, readBytesMax: number): string {
  const words = [
    'fd=3',
    'rootmode=40000',
    'user_id=0',
    'group_id=0',
    'allow_other',
    'default_permissions',
    `max_read=${readBytesMax}`,
  ]
  if (options.grantsPrivileges !== true) words.push('nosuid', 'nodev')
  return [...words, options.readOnly === true ? 'ro' : 'rw'].join(',')
}

async function runMount(
  run: RunProgram,
  descriptor: number,
  directory: string,
  name: string,
  options: string,
): Promise<void> {
  const parameters = ['-i', '-t', FILE_SYSTEM_TYPE, '-o', options, `--source=${name}`, `--target=${directory}`]
  const { status, message } = await run('mount', parameters, [descriptor])
  if (status === 0) return
  if (process.getuid?.() !== 0 || /permission|superuser|not permitted/i.test(message)) {
    throw new FuseError(
      'FUSE_NO_PERMISSION',
      `mounting needs root (in a container, CAP_SYS_ADMIN): ${message}`,
    )
  }
  throw new FuseError('FUSE_MOUNT_FAILED', `cannot mount on ${directory}: ${message}`)
}

/** The real path of an empty directory that is not a mount point yet. FUSE_MOUNT_POINT_*, FUSE_ALREADY_MOUNTED. */
export function checkMountPoint(given: string): string {
  if (mountAt(given) !== undefined) throw alreadyMounted(given)
  const directory = existing(given)
  if (mountAt(directory) !== undefined) throw alreadyMounted(directory)
  if (!statSync(directory).isDirectory()) {
    throw new FuseError('FUSE_MOUNT_POINT_NOT_A_DIRECTORY', `${given} is not a directory`)
  }
  if (readdirSync(directory).length > 0) {
    throw new FuseError('FUSE_MOUNT_POINT_NOT_EMPTY', `${given} is not empty: its files would be hidden`)
  }
  return directory
}

function alreadyMounted(directory: string): FuseError {
  return new FuseError('FUSE_ALREADY_MOUNTED', `something is mounted on ${directory} already`)
}

function existing(directory: string): string {
  try {
    return realpathSync(directory)
  } catch (cause) {
    if (systemCode(cause) === 'ENOTCONN') throw alreadyMounted(directory)
    throw new FuseError(
      'FUSE_MOUNT_POINT_MISSING',
      `${directory} cannot be found (${systemCode(cause)}): create it first`,
      { cause },
    )
  }
}

function checkReadBytes(readBytesMax: number): void {
  const pages = readBytesMax / limits.pageBytes
  if (!Number.isInteger(pages) || pages < 1 || pages > limits.requestPagesMax) {
    throw new FuseError('FUSE_BAD_OPTION', `readBytesMax ${readBytesMax} is not 1 to 256 pages`)
  }
}

/** See `RunProgram`: here it is this process. */
export const runProgram: RunProgram = (program, parameters, descriptors) => {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, {
      stdio: ['ignore', 'ignore', 'pipe', ...descriptors],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    })
    let message = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (message += text))
    child.on('error', (cause) => {
      reject(new FuseError('FUSE_MOUNT_FAILED', `cannot run ${program}: install it (package mount)`, { cause }))
    })
    child.on('close', (status) => resolve({ status, message: message.trim() }))
  })
}
