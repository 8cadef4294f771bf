/** The drivers' door to Linux: see `host.ts` for the contract. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, constants, createReadStream, openSync, readFileSync } from 'node:fs'
import { access, open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { basename, delimiter, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DriverError, messageOf } from './errors.ts'
import type {
  Host,
  HostFile,
  HostProcess,
  ProcessExit,
  ProcessIdentity,
  SocketDirectory,
  SpawnRequest,
  SpawnedProcess,
} from './host.ts'
import { limits } from './limits.ts'
import { listen } from './listen.ts'

export const linuxHost: Host = Object.freeze({
  nowMs: () => performance.now(),
  spawn: start,
  find,
  openSockets,
  locate,
  digest,
  readText,
  write,
  mayUse: (path: string) =>
    access(path, constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    ),
  writeControl: (path: string, text: string) => writeFile(path, text, { flag: 'r+' }),
  remove: (path: string) => rm(path, { force: true }),
  kernelStamp,
})

/** Start time of a live process, or null when it is gone or only waits to be reaped. */
function startTicksOf(pid: number): number | null {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return null
  }
  // The command name may hold spaces and brackets, so fields are counted from the last closing bracket.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? null : Number(fields[19])
}

function isAlive(identity: ProcessIdentity): boolean {
  return startTicksOf(identity.pid) === identity.startTicks
}

function killExactly(identity: ProcessIdentity, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (!isAlive(identity)) return
  try {
    process.kill(identity.pid, signal)
  } catch (error) {
    // It may end between the look and the signal; that is what was wanted.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function start(request: SpawnRequest): Promise<SpawnedProcess> {
  const log = request.logPath === null ? null : openSync(request.logPath, 'a', 0o600)
  const out = log ?? 'ignore'
  const pipes = Array<'pipe'>(request.channelsCount).fill('pipe')
  try {
    // A session of its own: the guest must survive the end of the daemon and signals to its group.
    const child = spawn(request.binary, [...request.argv], {
      cwd: request.directory,
      detached: true,
      stdio: ['ignore', out, out, ...pipes],
    })
    const exited = new Promise<ProcessExit>((resolve) => {
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }))
    })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.on('error', reject)
    })
    const given = child.stdio.slice(3) as unknown as Duplex[]
    // The end of the process may show as an error of a channel that nobody uses at that moment;
    // users have listeners of their own.
    for (const channel of given) channel.on('error', () => undefined)
    const identity = { pid: child.pid!, startTicks: startTicksOf(child.pid!) ?? 0 }
    return { ...processOf(identity, exited, () => child.unref()), channels: given }
  } catch (error) {
    throw new DriverError('START_FAILED', `${request.binary} cannot be run: ${messageOf(error)}`, { cause: error })
  } finally {
    if (log !== null) closeSync(log)
  }
}

function find(identity: ProcessIdentity): HostProcess | null {
  if (!isAlive(identity)) return null
  let timer: NodeJS.Timeout | undefined
  const exited = new Promise<ProcessExit>((resolve) => {
    // Nobody but its parent is told of a process's end, and Node has no pidfd: so it is looked for.
    timer = setInterval(() => {
      if (isAlive(identity)) return
      clearInterval(timer)
      resolve({ exitCode: null, signal: null })
    }, limits.processPollMs)
  })
  return processOf(identity, exited, () => clearInterval(timer))
}

/** A process whose end somebody will tell of. */
export function processOf(identity: ProcessIdentity, exited: Promise<ProcessExit>, release: () => void): HostProcess {
  return {
    identity,
    exited,
    alive: () => isAlive(identity),
    kill: (signal) => killExactly(identity, signal),
    release,
  }
}

function openSockets(directory: string): SocketDirectory {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  let open = true
  const pathOf = (name: string): string => {
    // The number may belong to another directory by now.
    if (!open) throw new DriverError('CLOSED', `The sockets in ${directory} are closed.`)
    if (Buffer.byteLength(name) > limits.socketNameBytesMax)
      throw new DriverError('INVALID', `The socket name ${name} is too long.`)
    return `/proc/self/fd/${fd}/${name}`
  }
  return {
    connect: (name) =>
      new Promise((resolve, reject) => {
        const socket = connect(pathOf(name))
        socket.once('error', (error) =>
          reject(new DriverError('DISCONNECTED', `${join(directory, name)}: ${error.message}`, { cause: error })),
        )
        socket.once('connect', () => {
          socket.removeAllListeners('error')
          resolve(socket)
        })
      }),
    listen: async (name) => {
      await rm(pathOf(name), { force: true })
      return listen(pathOf(name))
    },
    close: () => {
      if (open) closeSync(fd)
      open = false
    },
  }
}

async function locate(pathOrCommand: string): Promise<HostFile | null> {
  const candidates = pathOrCommand.includes('/')
    ? [pathOrCommand]
    : (process.env['PATH'] ?? '')
        .split(delimiter)
        .filter((directory) => directory !== '')
        .map((directory) => join(directory, pathOrCommand))
  for (const candidate of candidates) {
    const executable = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (!executable) continue
    const path = await realpath(candidate)
    const found = await stat(path)
    if (found.isFile())
      return {
        path,
        bytes: found.size,
        stamp: `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}:${found.ctimeMs}`,
      }
  }
  return null
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash)
  return hash.digest('hex')
}

async function readText(path: string, lastBytes?: number): Promise<string | null> {
  try {
    if (lastBytes === undefined) return await readFile(path, 'utf8')
    await using file = await open(path)
    const { size } = await file.stat()
    const length = Math.min(size, lastBytes)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.toString('utf8', 0, bytesRead)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

async function write(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(path, '..', `.${basename(path)}.${process.pid}.tmp`)
  await writeFile(temporary, content, { mode: 0o600 })
  await rename(temporary, path)
}

async function kernelStamp(): Promise<string> {
  const [release, boot] = await Promise.all([
    readFile('/proc/sys/kernel/osrelease', 'utf8'),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
  ])
  return `${release.trim()} ${boot.trim()}`
}
