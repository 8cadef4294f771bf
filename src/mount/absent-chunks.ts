/**
 * Requests that lack a chunk which only replicas have. The serving thread waits for nothing: the request is put aside
 * before it took its place in the log, the chunk is asked for, and when it has come all that was put aside is tried
 * again, while others go on.
 *
 * A read of a machine's memory waits as long as it takes: an error there would kill the hypervisor (SIGBUS). Others get
 * EIO when the owner gives the chunk up. Who is being killed gets EINTR. Other signals wait as for a disk: they meet a
 * hypervisor's threads all the time, and what it reads of its guest's disks must not fail for them.
 */
import { Buffer } from 'node:buffer'
import { ERRNO, opcodeTable, Postponed } from '../../fuse/index.ts'
import type * as fuse from '../../fuse/index.ts'
import { systemEnv } from '../env/system.ts'
import type { Head } from '../image/head.ts'
import type { InodeState } from '../image/inode-state.ts'
import { readAheadChunks } from '../image/remote/limits.ts'
import type { RecordParcel } from '../image/remote/messages.ts'
import { recordsOf } from '../image/remote/messages.ts'
import { get } from '../image/tree/index.ts'
import { AbsentChunk } from '../store/record-source.ts'
import type { ThreadReader } from '../store/thread-reader.ts'
import type { FromServer } from './messages.ts'
import type { CarriedOut } from './repeated.ts'

export interface AbsentChunksOptions {
  readonly head: Head
  readonly reader: ThreadReader
  readonly carriedOut: CarriedOut
  readonly postponed: () => fuse.PostponedRequests
  readonly post: (message: FromServer) => void
}

type Operation = (context: fuse.RequestContext, request: object) => unknown

/** A request that was put aside. */
interface Waiting {
  readonly pid: number
  /** It reads or writes a machine's memory. */
  readonly isMemory: boolean
}

const env = systemEnv()

export class AbsentChunks {
  readonly #options: AbsentChunksOptions
  /** Asked for and not answered, by their ids in hex. */
  readonly #asked = new Set<string>()
  /** Given up, and why: for those that are tried again now. */
  #missing = new Map<string, string>()
  readonly #waiting = new Map<number, Waiting>()
  #isMemoryReleased = false
  #isReachable = false

  constructor(options: AbsentChunksOptions) {
    this.#options = options
  }

  /** The operations, which may find that a chunk is absent. */
  guarding(operations: fuse.FileOperations): fuse.FileOperations {
    const guarded: Record<string, unknown> = {}
    for (const { operation } of opcodeTable) {
      const carryOut = operation === null ? undefined : operations[operation]
      if (operation === null || carryOut === undefined) continue
      guarded[operation] = this.#guarded((carryOut as Operation).bind(operations))
    }
    const interrupt = (context: fuse.RequestContext, request: fuse.InterruptRequest): void => {
      this.#interrupt(request.target)
      void operations.interrupt?.(context, request)
    }
    return { ...guarded, interrupt } as unknown as fuse.FileOperations
  }

  /** Messages come from now on. Before, nobody could say that a chunk has come: then an operation waits for it. */
  reached(): void {
    this.#isReachable = true
  }

  arrived(chunks: readonly string[], parcel: RecordParcel): void {
    this.#options.reader.admit(recordsOf(parcel))
    this.#answered(chunks)
  }

  missing(chunks: readonly string[], reason: string): void {
    for (const chunk of chunks) this.#missing.set(chunk, reason)
    this.#answered(chunks)
  }

  releaseMemory(): void {
    this.#isMemoryReleased = true
    for (const [unique, { isMemory }] of [...this.#waiting]) if (isMemory) this.#fail(unique, -ERRNO.EIO)
  }

  #answered(chunks: readonly string[]): void {
    for (const chunk of chunks) this.#asked.delete(chunk)
    this.#options.postponed().retry()
  }

  #guarded(carryOut: Operation): Operation {
    const { head, reader } = this.#options
    return (context, request) => {
      const sequence = head.log.sequence
      reader.absentPolicy = this.#isReachable ? 'tell' : 'wait'
      try {
        const outcome = carryOut(context, request)
        this.#waiting.delete(context.unique)
        return outcome
      } catch (error) {
        if (!(error instanceof AbsentChunk)) throw error
        const isLogged = head.log.sequence !== sequence && head.log.lastUnique === BigInt(context.unique)
        if (isLogged) this.#options.carriedOut.add(context.unique)
        return this.#postpone(context, request, error)
      } finally {
        reader.absentPolicy = 'wait'
      }
    }
  }

  /** Returns an errno where waiting makes no sense. */
  #postpone(context: fuse.RequestContext, request: object, { id }: AbsentChunk): number {
    const state = this.#fileOf(request)
    const isMemory = state?.isMemory ?? false
    const key = id.toString('hex')
    const reason = this.#missing.get(key)
    if ((isMemory && this.#isMemoryReleased) || (reason !== undefined && !isMemory)) {
      this.#waiting.delete(context.unique)
      this.#options.post({ type: 'fault', message: `a request got EIO: ${reason ?? 'its machine ends'}` })
      return -ERRNO.EIO
    }
    this.#waiting.set(context.unique, { pid: context.pid, isMemory })
    this.#ask([key, ...this.#ahead(state, request)])
    throw new Postponed()
  }

  #ask(keys: readonly string[]): void {
    const chunks = [...new Set(keys)].filter((key) => !this.#asked.has(key))
    for (const chunk of chunks) {
      this.#asked.add(chunk)
      this.#missing.delete(chunk)
    }
    if (chunks.length > 0) this.#options.post({ type: 'wanted', chunks })
  }

  #fileOf(request: object): InodeState | null {
    if (!('node' in request) || typeof request.node !== 'number') return null
    try {
      return this.#options.head.inode(request.node)
    } catch (error) {
      if (error instanceof AbsentChunk) return null
      throw error
    }
  }

  /** What a reader will want next of the same file, as far as that is known without waiting. */
  #ahead(state: InodeState | null, request: object): string[] {
    const { head, reader } = this.#options
    if (state === null || !('chunk' in request) || typeof request.chunk !== 'number') return []
    const keys: string[] = []
    try {
      for (let chunk = request.chunk; chunk < request.chunk + readAheadChunks; chunk += 1) {
        const id = get(head.nodes, state.dataRoot, chunk)
        if (id !== null && !reader.has(id)) keys.push(Buffer.from(id).toString('hex'))
      }
    } catch (error) {
      if (!(error instanceof AbsentChunk)) throw error
    }
    return keys
  }

  #interrupt(unique: number): void {
    const waiting = this.#waiting.get(unique)
    if (waiting === undefined || !isBeingKilled(waiting.pid)) return
    this.#fail(unique, -ERRNO.EINTR)
  }

  #fail(unique: number, errno: number): void {
    this.#waiting.delete(unique)
    this.#options.postponed().fail(unique, errno)
  }
}

/** Whether SIGKILL is on its way to a thread; also when nothing is known of it any more. Source: proc_pid_status(5). */
function isBeingKilled(pid: number): boolean {
  const killBit = 1n << 8n
  const status = Buffer.alloc(4096)
  try {
    using file = env.open(`/proc/${pid}/status`, 'read')
    const text = status.toString('latin1', 0, file.read(status, 0))
    const masks = [...text.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].map(([, mask]) => BigInt(`0x${mask}`))
    return masks.some((mask) => (mask & killBit) !== 0n)
  } catch {
    // The thread has ended: nobody waits for the answer.
    return true
  }
}
