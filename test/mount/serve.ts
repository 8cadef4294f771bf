/**
 * The process that owns a store and serves its mounts for the tests, so that they can use the mounts from
 * another. Argument: the store's directory, made if it is missing. Calls come and are answered over Node's
 * IPC channel; when that closes, the process takes its mounts down and ends.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { mountAt, unmount } from '../../fuse/index.ts'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import type { Engine } from '../../src/image/engine.ts'
import { RemoteRecords } from '../../src/image/remote/remote-records.ts'
import { ImageMount } from '../../src/mount/image-mount.ts'
import type { Cut, ImageMountOptions, MountEvent } from '../../src/mount/image-mount.ts'
import { initStore, openLocalEngine } from '../image/variant.ts'

/** A call of the engine by its name, or one of the verbs below. */
export interface ServeCall {
  id: number
  verb: string
  args: Record<string, unknown>
}

export type ServeMessage =
  | { kind: 'ready'; error?: { code: string; message: string } }
  | { kind: 'answer'; id: number; result?: unknown; error?: { code: string; message: string } }
  | { kind: 'event'; event: MountEvent }

const directory = process.argv[2]
const mounts = new Map<string, ImageMount>()
const cuts = new Map<string, Cut>()
let remote: RemoteRecords | undefined

/** The other end may be gone at any time: then nobody is to be told, and the mounts are taken down. */
function tell(message: ServeMessage): void {
  if (process.connected) process.send?.(message, () => undefined)
}

async function open(): Promise<Engine> {
  if (!existsSync(`${directory}/store.json`)) {
    mkdirSync(directory, { recursive: true })
    initStore(systemEnv(), directory)
  }
  return openLocalEngine(directory)
}

const verbs: Record<string, (engine: Engine, args: Record<string, unknown>) => Promise<unknown>> = {
  async mount(engine, args) {
    const options = args as unknown as ImageMountOptions
    const mounted = await ImageMount.open({
      ...options, engine, remote, onEvent: (event) => tell({ kind: 'event', event }),
    })
    mounts.set(options.directory, mounted)
    return { directory: mounted.directory, device: mounted.device, limits: mounted.liftDirtyLimits() }
  },
  async unmount(_, args) {
    await mountOf(args).close(args)
    mounts.delete(String(args['directory']))
  },
  async seal(_, args) {
    const cut = await mountOf(args).barrier()
    return cut.seal({ note: String(args['note'] ?? '') })
  },
  async barrier(_, args) {
    cuts.set(String(args['directory']), await mountOf(args).barrier())
  },
  async abandon(_, args) {
    cuts.get(String(args['directory']))?.abandon()
  },
  async statistics(_, args) {
    return mountOf(args).statistics()
  },
  async useReplicas(engine, args) {
    remote = new RemoteRecords({
      directory, attach: (port) => engine.attachSource(port), keep: (parcel) => engine.keepRecords({ parcel }), onEvent: () => undefined,
    })
    remote.use(args['urls'] as string[])
  },
  async installRecord(engine, args) {
    const records = (args['records'] as { data: number[] }[]).map(({ data }) => Uint8Array.from(data))
    const { image, id, createdMs } = args as { image: string; id: string; createdMs: number }
    return engine.installImage({ image, id, createdMs, origin: { kind: 'base' }, records, head: 0, nextNumber: 1 })
  },
  async releaseMemory(_, args) {
    mountOf(args).releaseMemory()
  },
  async failure(_, args) {
    return mountOf(args).failure
  },
  async makeMemory(_, args) {
    return mountOf(args).makeMemory(String(args['name']), Number(args['bytes']))
  },
}

function mountOf(args: Record<string, unknown>): ImageMount {
  const mounted = mounts.get(String(args['directory']))
  if (mounted === undefined) throw new HoldfastError('NOT_FOUND', `no mount on ${String(args['directory'])}`)
  return mounted
}

async function call(engine: Engine, { verb, args }: ServeCall): Promise<unknown> {
  const own = verbs[verb]
  if (own !== undefined) return own(engine, args)
  const method = (engine as unknown as Record<string, (args: unknown) => Promise<unknown>>)[verb]
  return method.call(engine, args)
}

function described(error: unknown): { code: string; message: string } {
  return { code: error instanceof HoldfastError ? error.code : 'UNEXPECTED', message: String(error) }
}

async function takeDown(): Promise<void> {
  for (const at of mounts.keys()) if (mountAt(at) !== undefined) await unmount(at, { lazy: true, force: true })
  process.kill(process.pid, 'SIGKILL')
}

try {
  const engine = await open()
  process.on('message', (message: ServeCall) => {
    call(engine, message).then(
      (result) => tell({ kind: 'answer', id: message.id, result }),
      (error: unknown) => tell({ kind: 'answer', id: message.id, error: described(error) }),
    )
  })
  process.on('disconnect', () => void takeDown())
  tell({ kind: 'ready' })
} catch (error) {
  tell({ kind: 'ready', error: described(error) })
  process.disconnect()
}
