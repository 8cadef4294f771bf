/**
 * A replica in a directory of this host, or of a server that is mounted here: `replica.ts` has the contract.
 *
 *   ROOT/.tmp/HEX              objects without a name yet
 *   ROOT/PATH                  objects and directories
 *   ROOT/GENERATION/.lock      held while an object is published there and while the generation is closed
 *
 * A rename of a directory alone would not fence: a `link` that has found the directory under its old name may go on
 * after the rename and after the listing. So both hold a lock, which ends with its process. Over NFS that needs
 * working locks (version 4).
 */
import { dirname, join } from 'node:path'
import type { Env } from '../env/env.ts'
import { FileLock } from '../env/lock.ts'
import { ensureDirectory, removeTree } from '../env/tree.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { Call } from './call.ts'
import {
  absent, attempt, entryOf, makeDirectories, nextTurn, rootless, sizesBelow, sortedNames, unlinkDurably,
} from './directory-parts.ts'
import { closedPart, notOpened, openPart } from './generation.ts'
import { type ReplicaLimits, pieceBytes, replicaLimits } from './limits.ts'
import { checkName, checkPath, isObjectName, joinPath } from './paths.ts'
import type {
  CallOptions, CloseOutcome, Copies, ObjectSource, OpenOptions, PutOptions, PutResult, ReadRange, Replica, ReplicaEntry,
  Usage,
} from './replica.ts'
import { sourceOf } from './source.ts'
import { temporaryDirectory, temporaryName } from './temporary.ts'
import { Throttle } from './throttle.ts'
import { writeTemporary } from './write-temporary.ts'

export interface DirectoryOptions {
  readonly bytesPerSecondMax?: number
  readonly limits?: ReplicaLimits
}

const lockName = '.lock'

export class DirectoryReplica implements Replica {
  readonly url: string
  readonly #env: Env
  readonly #root: string
  readonly #limits: ReplicaLimits
  readonly #throttle: Throttle
  readonly #closing = new AbortController()

  /** `root` is absolute. Nothing is looked at yet. */
  constructor(env: Env, root: string, options: DirectoryOptions = {}) {
    this.url = `file://${root}`
    this.#env = env
    this.#root = root
    this.#limits = options.limits ?? replicaLimits
    this.#throttle = new Throttle(env, options.bytesPerSecondMax ?? null)
  }

  async *list(directory: string, options?: CallOptions): AsyncGenerator<ReplicaEntry> {
    const place = this.#at(checkPath(directory, 'root allowed'))
    using call = this.#begin(options)
    for (const name of attempt(() => sortedNames(this.#env, place))) {
      call.check()
      const entry = isObjectName(name) ? attempt(() => entryOf(this.#env, join(place, name), name)) : null
      if (entry !== null) yield entry
    }
  }

  async stat(path: string, options?: CallOptions): Promise<ReplicaEntry | null> {
    const name = checkPath(path, 'root allowed').split('/').at(-1) ?? ''
    return this.#call(options, () => entryOf(this.#env, this.#at(path), name))
  }

  async *read(path: string, range: ReadRange = {}): AsyncGenerator<Uint8Array> {
    const place = this.#at(checkPath(path))
    using call = this.#begin(range, this.#limits.transferTimeoutMs)
    if (attempt(() => entryOf(this.#env, place, ''))?.kind !== 'object') throw absent(path)
    using file = attempt(() => this.#env.open(place, 'read'))
    let offset = range.offset ?? 0
    for (let left = range.bytes ?? Infinity; left > 0;) {
      const piece = new Uint8Array(Math.min(left, pieceBytes))
      const bytes = attempt(() => file.read(piece, offset))
      await this.#throttle.pass(bytes, call.signal)
      await nextTurn()
      call.check()
      if (bytes > 0) yield piece.subarray(0, bytes)
      if (bytes < piece.length) return
      offset += bytes
      left -= bytes
    }
  }

  async put(path: string, source: ObjectSource | Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    const place = this.#at(checkPath(path))
    const written = sourceOf(source)
    return this.#call(options, async (call) => {
      const temporary = this.#temporary()
      try {
        const result = await writeTemporary({ env: this.#env, throttle: this.#throttle, call }, temporary, written)
        if (options.replace === true) this.#env.rename(temporary, place)
        else this.#env.link(temporary, place)
        this.#env.syncDirectory(dirname(place))
        return result
      } finally {
        removeTree(this.#env, temporary)
      }
    }, this.#limits.transferTimeoutMs)
  }

  async publish(directory: string, name: string, bytes: Uint8Array, options?: CallOptions): Promise<void> {
    const place = this.#at(checkPath(directory))
    const open = openPart(place)
    const target = join(open, checkName(name))
    await this.#call(options, async (call) => {
      const temporary = this.#temporary()
      try {
        await writeTemporary({ env: this.#env, throttle: this.#throttle, call }, temporary, sourceOf(bytes))
        using _lock = await this.#lock(call, place)
        this.#env.link(temporary, target)
        this.#env.syncDirectory(open)
      } catch (error) {
        const isGone = isCode(error, 'NOT_FOUND') && !this.#env.exists(open)
        if (!isGone) throw error
        throw new HoldfastError('FENCED', `${directory} was closed: another writer took over`, { cause: error })
      } finally {
        removeTree(this.#env, temporary)
      }
    })
  }

  async publishIntent(path: string, directory: string, name: string, options?: CallOptions): Promise<void> {
    const intent = this.#at(checkPath(path))
    const place = this.#at(checkPath(directory))
    const open = openPart(place)
    const target = join(open, checkName(name))
    await this.#call(options, async (call) => {
      try {
        using _lock = await this.#lock(call, place)
        this.#env.link(intent, target)
        this.#env.syncDirectory(open)
      } catch (error) {
        if (!isCode(error, 'NOT_FOUND')) throw error
        if (!this.#env.exists(open)) {
          throw new HoldfastError('FENCED', `${directory} was closed: another writer took over`, { cause: error })
        }
        if (this.#env.exists(target)) throw new HoldfastError('EXISTS', `${target} exists already`, { cause: error })
        throw error
      }
      unlinkDurably(this.#env, intent)
    })
  }

  async move(from: string, to: string, options?: CallOptions): Promise<void> {
    const source = this.#at(checkPath(from))
    const target = this.#at(checkPath(to))
    await this.#call(options, () => {
      this.#env.link(source, target)
      this.#env.syncDirectory(dirname(target))
      unlinkDurably(this.#env, source)
    })
  }

  async openGeneration(directory: string, name: string, bytes: Uint8Array, options?: OpenOptions): Promise<void> {
    const place = this.#at(checkPath(directory))
    checkName(name)
    if (await options?.after === false) throw notOpened(directory)
    await this.#call(options, async (call) => {
      const prepared = this.#temporary()
      try {
        const open = openPart(prepared)
        this.#env.mkdir(prepared)
        this.#env.mkdir(open)
        const parts = { env: this.#env, throttle: this.#throttle, call }
        await writeTemporary(parts, join(open, name), sourceOf(bytes))
        this.#env.syncDirectory(open)
        this.#env.syncDirectory(prepared)
        // A rename replaces an empty directory; one that was opened is never empty.
        if (this.#env.exists(place)) throw new HoldfastError('EXISTS', `${directory} exists on the replica already`)
        this.#env.rename(prepared, place)
        this.#env.syncDirectory(dirname(place))
      } finally {
        removeTree(this.#env, prepared)
      }
    })
  }

  async closeGeneration(directory: string, options?: CallOptions): Promise<CloseOutcome> {
    const place = this.#at(checkPath(directory))
    const closed = closedPart(place)
    return this.#call(options, async (call) => {
      using _lock = await this.#lock(call, place)
      const outcome = this.#env.exists(closed) ? 'closed' : 'won'
      if (outcome === 'won') this.#env.rename(openPart(place), closed)
      // What a publisher that died has linked and not synced counts from now on.
      this.#env.syncDirectory(closed)
      this.#env.syncDirectory(place)
      return outcome
    })
  }

  async makeDirectory(path: string, options?: CallOptions): Promise<void> {
    checkPath(path, 'root allowed')
    await this.#call(options, () => makeDirectories(this.#env, this.#at(path)))
  }

  async remove(path: string, options?: CallOptions): Promise<void> {
    const place = this.#at(checkPath(path))
    await this.#call(options, () => {
      const entry = entryOf(this.#env, place, '')
      if (entry === null) return
      if (entry.kind === 'object') this.#env.unlink(place)
      else this.#removeDirectory(place)
      this.#env.syncDirectory(dirname(place))
    })
  }

  async copies(path: string, options?: CallOptions): Promise<Copies> {
    if ((await this.stat(path, options))?.kind !== 'object') throw absent(path)
    return { have: 1, wanted: 1 }
  }

  async usage(options?: CallOptions): Promise<Usage> {
    return this.#call(options, (call) => {
      const sizes = sizesBelow(this.#env, this.#root, call)
      return { ...sizes, freeBytes: this.#env.freeBytes(this.#root) }
    })
  }

  async removeTemporaries(olderThanMs: number, options?: CallOptions): Promise<number> {
    return this.#call(options, () => {
      const marker = this.#temporary()
      this.#env.open(marker, 'createNew').close()
      const nowNs = this.#env.stat(marker).mtimeNs
      this.#env.unlink(marker)
      let removed = 0
      for (const name of this.#env.readdir(dirname(marker))) {
        const path = join(dirname(marker), name)
        if (!this.#env.exists(path) || nowNs - this.#env.stat(path).mtimeNs < BigInt(olderThanMs) * 1_000_000n) continue
        removeTree(this.#env, path)
        removed++
      }
      return removed
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #at(path: string): string {
    return join(this.#root, path)
  }

  /** A place for something without a name. Never makes the root, so that a mistyped one leaves nothing behind. */
  #temporary(): string {
    if (!this.#env.exists(this.#root)) throw rootless(this.#root)
    ensureDirectory(this.#env, join(this.#root, temporaryDirectory))
    return join(this.#root, joinPath(temporaryDirectory, temporaryName(this.#env)))
  }

  /** Of a generation. Errors: NOT_FOUND. */
  async #lock(call: Call, place: string): Promise<FileLock> {
    for (let tries = 1; ; tries++) {
      try {
        return FileLock.take(this.#env, join(place, lockName))
      } catch (error) {
        if (!isCode(error, 'LOCKED')) throw error
        call.lastFailure = error
      }
      await call.backOff(Math.min(tries, 4))
    }
  }

  /** The lock of an empty generation directory goes with it. */
  #removeDirectory(place: string): void {
    const names = this.#env.readdir(place)
    if (names.some((name) => name !== lockName)) throw new HoldfastError('EXISTS', `${place} is not empty`)
    removeTree(this.#env, place)
  }

  async #call<T>(
    options: CallOptions | undefined, run: (call: Call) => T | Promise<T>, timeoutMs?: number,
  ): Promise<T> {
    using call = this.#begin(options, timeoutMs)
    call.check()
    return await attempt(() => run(call))
  }

  #begin(options: CallOptions | undefined, timeoutMs = this.#limits.callTimeoutMs): Call {
    return new Call({ env: this.#env, limits: this.#limits, closing: this.#closing.signal }, options, timeoutMs)
  }
}
