/** The serving thread of `serve.ts`: a memory file system with files that answer late or never. */
import { parentPort, workerData } from 'node:worker_threads'
import { DEFERRED, ERRNO, FOPEN, Postponed, Session } from '../../fuse/index.ts'
import type {
  AbsentEntry,
  Attributes,
  Bytes,
  Deferred,
  Entry,
  Errno,
  InterruptRequest,
  NameRequest,
  Opened,
  Outcome,
  ReadRequest,
  RequestContext,
  WriteRequest,
} from '../../fuse/index.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'
import type { ServeOptions } from './serve.ts'

const options = workerData as ServeOptions & { descriptor: number }

class ServedFileSystem extends MemoryFileSystem {
  readonly readCounts = new Map<number, number>()
  lookupCount = 0
  /** Requests about files named `later...` are carried out once this is set. */
  isLater = false
  open?: () => Opened

  override read(context: RequestContext, request: ReadRequest): Bytes | number | Deferred {
    this.readCounts.set(request.node, (this.readCounts.get(request.node) ?? 0) + 1)
    if (options.isMute === true) {
      parentPort?.postMessage({ kind: 'muted', ticket: { ...context } })
      return DEFERRED
    }
    const name = options.negotiated === undefined ? this.#nameOf(request.node) : nameInReplacement(request.node)
    if (name === 'resent') return Buffer.from(`resent ${context.resent}`)
    if (name.startsWith('faulty')) throw new Error('a fault that the test wants')
    this.#postponeUnlessLater(name)
    if (!name.startsWith('deferred')) return super.read(context, request)
    parentPort?.postMessage({ kind: 'deferred', ticket: { ...context }, name })
    return DEFERRED
  }

  override lookup(context: RequestContext, request: NameRequest): Entry | AbsentEntry | Errno {
    this.lookupCount++
    this.#postponeUnlessLater(request.name.toString())
    return super.lookup(context, request)
  }

  override getattr(context: RequestContext, request: { node: number }): Attributes {
    if (this.inodes.has(request.node)) return super.getattr(context, request)
    return { ...super.getattr(context, { node: 1 }), inode: request.node, mode: 0o100644, sizeChunk: 1 }
  }

  override write(context: RequestContext, request: WriteRequest): Outcome<number> {
    this.#postponeUnlessLater(this.#nameOf(request.node))
    return super.write(context, request)
  }

  interrupt(_: RequestContext, { target }: InterruptRequest): void {
    session.postponed.fail(target, -ERRNO.EINTR)
  }

  #postponeUnlessLater(name: string): void {
    if (name.startsWith('later') && !this.isLater) throw new Postponed()
  }

  #nameOf(node: number): string {
    const slots = this.inodes.get(1)?.slots.values() ?? []
    return [...slots].find((slot) => slot.node === node)?.name.toString() ?? ''
  }
}

/** A server that took over has no names: every other file of its predecessor is answered late. */
function nameInReplacement(node: number): string {
  return node % 2 === 0 ? 'resent' : 'deferred'
}

const operations = new ServedFileSystem()
operations.isLater = options.isPostponing !== true
if (options.hasOpen === true) operations.open = () => ({ flags: FOPEN.KEEP_CACHE | FOPEN.PARALLEL_DIRECT_WRITES })

const session: Session = new Session({
  descriptor: options.descriptor,
  operations,
  negotiated: options.negotiated,
  controlName: options.controlName,
  onControl: () => {
    if (options.isPostponing === true && session.postponed.count > 0) {
      operations.isLater = true
      session.postponed.retry()
    }
    const reads = Object.fromEntries(operations.readCounts)
    const { inodes, lookupCount } = operations
    const postponedCount = session.postponed.count
    return Buffer.from(JSON.stringify({ ...session.counts, postponedCount, reads, lookupCount, inodeCount: inodes.size }))
  },
  onFault: (error) => parentPort?.postMessage({ kind: 'fault', message: String(error) }),
  onTrace: options.isTraced === true ? (line) => parentPort?.postMessage({ kind: 'trace', line }) : undefined,
  onNegotiated: (negotiated) => parentPort?.postMessage({ kind: 'negotiated', negotiated }),
})
parentPort?.postMessage({ kind: 'ended', end: session.run() })
