/** Joins this terminal and a machine's serial console, a unix socket, until Ctrl-] or the machine's end. */
import type { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { SocketPath } from '../daemon/socket-path.ts'
import { HoldfastError, messageOf } from '../errors.ts'

const leaveByte = 0x1d

/** Resolves when the user leaves, rejects with MACHINE_GONE when the console ends, ABORTED on the signal. */
export async function attachConsole(path: string, signal: AbortSignal): Promise<void> {
  using short = new SocketPath(path)
  const socket = connect(short.path)
  const { stdin } = process
  process.stderr.write('attached to the console; Ctrl-] leaves\n')
  try {
    await joined(socket, signal)
  } finally {
    socket.destroy()
    if (stdin.isTTY) stdin.setRawMode(false)
    stdin.removeAllListeners('data')
    stdin.pause()
    process.stderr.write('\nleft the console\n')
  }
}

function joined(socket: Socket, signal: AbortSignal): Promise<void> {
  const { stdin } = process
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new HoldfastError('ABORTED', 'stopped on request')))
    socket.once('error', (error) => reject(gone(messageOf(error), error)))
    socket.once('close', () => reject(gone('the machine closed it')))
    socket.on('data', (bytes: Buffer) => process.stdout.write(bytes))
    if (stdin.isTTY) stdin.setRawMode(true)
    stdin.on('data', (bytes: Buffer) => {
      const leave = stdin.isTTY ? bytes.indexOf(leaveByte) : -1
      socket.write(leave < 0 ? bytes : bytes.subarray(0, leave))
      if (leave >= 0) resolve()
    })
  })
}

function gone(why: string, cause?: unknown): HoldfastError {
  return new HoldfastError('MACHINE_GONE', `the console is gone: ${why}`, { cause })
}
