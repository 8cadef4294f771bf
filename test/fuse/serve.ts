/**
 * The process that serves a mount for the tests, so that they can use it from another. Argument: a
 * JSON `ServeOptions`; messages over Node's IPC channel. When the channel closes it takes its
 * mount down and ends.
 */
import { Worker } from 'node:worker_threads'
import {
  ERRNO,
  invalidateEntry,
  invalidateInode,
  mount,
  replyBytes,
  replyError,
  resend,
  setDirtyLimits,
  storeSync,
  unmount,
} from '../../fuse/index.ts'
import type { Mount, Negotiated, Ticket } from '../../fuse/index.ts'

export interface ServeOptions {
  /** Mounted here by this process; with `descriptor` it is mounted already. */
  readonly directory: string
  readonly descriptor?: number
  readonly negotiated?: Negotiated
  readonly controlName: string
  readonly hasOpen?: boolean
  /** Reads are never answered. */
  readonly isMute?: boolean
  readonly isTraced?: boolean
  /** What is asked of files named `later...` is postponed until somebody pokes the control file. */
  readonly isPostponing?: boolean
}

export type ServeCommand =
  | { readonly kind: 'store'; readonly node: number; readonly chunk: number; readonly text: string }
  | { readonly kind: 'invalidate'; readonly node: number }
  | { readonly kind: 'forgetName'; readonly name: string }
  | { readonly kind: 'unmount' }

export type ServeEvent =
  | { readonly kind: 'mounted'; readonly mount: Mount; readonly dirtyLimits: string | undefined }
  | { readonly kind: 'negotiated'; readonly negotiated: Negotiated }
  | { readonly kind: 'notified'; readonly isKnown: boolean }
  | { readonly kind: 'trace'; readonly line: string }
  | { readonly kind: 'muted'; readonly ticket: Ticket }
  | { readonly kind: 'ended'; readonly end: string }
  | { readonly kind: 'fault'; readonly message: string }

const options = JSON.parse(process.argv[2]) as ServeOptions

/** A parent that hung up wants the mount to end, and hears no more of it. */
function tell(event: ServeEvent): void {
  if (process.connected) process.send?.(event)
}

async function mounted(): Promise<Mount> {
  const { descriptor, directory } = options
  if (descriptor === undefined) return mount({ directory, name: 'memory' })
  if (options.negotiated !== undefined) resend(descriptor)
  return { descriptor, directory, device: '' }
}

const served = await mounted()
const dirtyLimits =
  served.device === '' ? undefined : setDirtyLimits(served.device, { maxRatio: 100, isStrict: false })
const worker = new Worker(new URL('serve-worker.ts', import.meta.url), {
  workerData: { ...options, descriptor: served.descriptor },
})

/** Requests that the worker has deferred; the file says what becomes of them. */
function answerLate(ticket: Ticket, name: string): void {
  if (name === 'deferred-error') replyError(served.descriptor, ticket, -ERRNO.ENOSPC)
  else replyBytes(served.descriptor, ticket, [Buffer.from('late '), Buffer.from('answer')])
}

worker.on('message', (event: ServeEvent | { kind: 'deferred'; ticket: Ticket; name: string }) => {
  if (event.kind === 'deferred') answerLate(event.ticket, event.name)
  else tell(event)
})
worker.on('error', (error) => tell({ kind: 'fault', message: String(error) }))
worker.on('exit', () => process.disconnect())

process.on('message', (command: ServeCommand) => {
  if (command.kind === 'unmount') void unmount(served.directory, { lazy: true })
  else tell({ kind: 'notified', isKnown: notify(served.descriptor, command) })
})

function notify(descriptor: number, command: Exclude<ServeCommand, { kind: 'unmount' }>): boolean {
  if (command.kind === 'invalidate') return invalidateInode(descriptor, command.node)
  if (command.kind === 'forgetName') return invalidateEntry(descriptor, 1, Buffer.from(command.name))
  return storeSync(descriptor, command.node, command.chunk, 0, [Buffer.alloc(65_536, command.text)])
}

process.on('disconnect', () => {
  unmount(served.directory, { lazy: true, force: true }).finally(() => process.kill(process.pid, 'SIGKILL'))
})
tell({ kind: 'mounted', mount: served, dirtyLimits })
