/** Device state out of a paused machine: `migrate` to a socket of ours, with shared memory left out. */
import type { Duplex } from 'node:stream'
import { handled, within } from '../deadline.ts'
import { DriverError, isDriverError } from '../errors.ts'
import type { SocketListener } from '../host.ts'
import type { Control } from './control.ts'
import { objectOf, textOf } from './json.ts'
import { runFiles } from './rundir.ts'
import type { QmpEvent } from './qmp.ts'

export interface SaveLimit {
  readonly bytesMax: number
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** QEMU's own speed limit, in bytes a second: none, since the guest waits. */
const bandwidthMax = 1024 ** 4

const ends = ['completed', 'failed', 'cancelled']

export function isMigrationEnd(event: QmpEvent): boolean {
  return event.name === 'MIGRATION' && ends.includes(textOf(event.data['status']))
}

/** Set once for each machine: these change nothing for others who migrate it. */
export async function prepareSaves(control: Control): Promise<void> {
  await Promise.all([
    setCapability(control, 'events', true),
    control.execute('migrate-set-parameters', { 'max-bandwidth': bandwidthMax }),
  ])
}

/**
 * Leaves shared memory out of the state while it is on. Off again afterwards, or somebody else's migration
 * would lose the memory.
 */
export async function ignoreShared(control: Control, on: boolean): Promise<void> {
  await setCapability(control, 'x-ignore-shared', on)
}

export async function setCapability(control: Control, capability: string, on: boolean): Promise<void> {
  await control.execute('migrate-set-capabilities', { capabilities: [{ capability, state: on }] })
}

/**
 * The whole device state of a machine that is paused and armed.
 * @throws DriverError TOO_LARGE, SAVE_FAILED, STATE_SPENT, TIMEOUT, ABORTED, GONE; the migration may still run then
 */
export async function takeState(control: Control, listener: SocketListener, limit: SaveLimit): Promise<Buffer> {
  using end = control.event(isMigrationEnd)
  const connection = handled(listener.accept())
  const arriving = handled(connection.then((socket) => collect(socket, limit.bytesMax)))
  const run = async (): Promise<Buffer> => {
    await control.execute('migrate', { uri: `unix:${runFiles.saveSocket}` }).catch((error: unknown) => {
      throw refused(error)
    })
    const completed = end.then(async (event) => {
      if (event.data['status'] !== 'completed') throw await failure(control)
    })
    const [state] = await control.alive(Promise.all([arriving, completed]))
    const info = objectOf(await control.execute('query-migrate'))
    if (info['status'] !== 'completed')
      throw new DriverError('SAVE_FAILED', `The save ended and is ${textOf(info['status'])}.`)
    return state
  }
  try {
    return await within(run(), limit.timeoutMs, 'Saving the device state', limit.signal)
  } catch (error) {
    void connection.then(
      (socket) => socket.destroy(),
      () => undefined,
    )
    throw error
  }
}

function collect(socket: Duplex, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let bytes = 0
    socket.on('data', (piece: Buffer) => {
      bytes += piece.length
      if (bytes <= bytesMax) return void pieces.push(piece)
      socket.destroy()
      reject(
        new DriverError(
          'TOO_LARGE',
          `The device state is larger than ${bytesMax} bytes: is there memory that is not shared?`,
        ),
      )
    })
    socket.once('end', () => {
      socket.destroy()
      resolve(Buffer.concat(pieces, bytes))
    })
    socket.once('close', () => reject(new DriverError('SAVE_FAILED', 'The device state ended in the middle.')))
  })
}

async function failure(control: Control): Promise<DriverError> {
  const info = objectOf(await control.execute('query-migrate'))
  return new DriverError(
    'SAVE_FAILED',
    `The save is ${textOf(info['status'])}: ${textOf(info['error-desc']) || 'the hypervisor does not say why.'}`,
  )
}

function refused(error: unknown): unknown {
  if (!isDriverError(error, 'COMMAND_FAILED')) return error
  const code = error.message.includes('previous migration') ? 'STATE_SPENT' : 'SAVE_FAILED'
  return new DriverError(code, error.message, { cause: error })
}
