/** The serving thread of `serve.ts`: a memory file system with files that answer late or never. */
import { parentPort, workerData } from 'node:worker_threads'
import { DEFERRED, FOPEN, Session } from '../../fuse/index.ts'
import type {
  AbsentEntry,
  Attributes,
  Bytes,
  Deferred,
  Entry,
  Errno,
  NameRequest,
  Opened,
  ReadRequest,
  RequestContext,
} from '../../fuse/index.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'
import type { ServeOptions } from './serve.ts'

const options = workerData as ServeOptions & { descriptor: number }

class ServedFileSystem extends MemoryFileSystem {
  readonly readCounts = new Map<number, number>()
  lookupCount = 0
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
    if (!name.startsWith('deferred')) return super.read(context, request)
    parentPort?.postMessage({ kind: 'deferred', ticket: { ...context }, name })
    return DEFERRED
  }

  override lookup(context: RequestContext, request: NameRequest): Entry | AbsentEntry | Errno {
    this.lookupCount++
    return super.lookup(context, request)
  }

  override getattr(context: RequestContext, request: { node: number }): Attributes {
    if (this.inodes.has(request.node)) return super.getattr(context, request)
    return { ...super.getattr(context, { node: 1 }), inode: request.node, mode: 0o100644, sizeChunk: 1 }
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
if (options.hasOpen === true) operations.open = () => ({ flags: FOPEN.KEEP_CACHE | FOPEN.PARALLEL_DIRECT_WRITES })

const session: Session = new Session({
  descriptor: options.descriptor,
  operations,
  negotiated: options.negotiated,
  controlName: options.controlName,
  onControl: () => {
    const reads = Object.fromEntries(operations.readCounts)
    const { inodes, lookupCount } = operations
    return Buffer.from(JSON.stringify({ ...session.counts, reads, lookupCount, inodeCount: inodes.size }))
  },
  onFault: (error) => parentPort?.postMessage({ kind: 'fault', message: String(error) }),
  onTrace: options.isTraced === true ? (line) => parentPort?.postMessage({ kind: 'trace', line }) : undefined,
  onNegotiated: (negotiated) => parentPort?.postMessage({ kind: 'negotiated', negotiated }),
})
parentPort?.postMessage({ kind: 'ended', end: session.run() })
