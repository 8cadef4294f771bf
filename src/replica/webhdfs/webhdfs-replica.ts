/** A replica in HDFS, reached over WebHDFS (or HttpFS): `replica.ts` has the contract. */
import { HoldfastError } from '../../errors.ts'
import type { Env } from '../../env/env.ts'
import { Call } from '../call.ts'
import { type ReplicaLimits, hdfsCopiesEnough, pieceBytes, replicaLimits } from '../limits.ts'
import { checkName, checkPath, joinPath, nameOf, parentOf } from '../paths.ts'
import { closedPart, notOpened, openPart } from '../generation.ts'
import type {
  CallOptions, CloseOutcome, Copies, ObjectSource, OpenOptions, PutOptions, PutResult, ReadRange, Replica, ReplicaEntry,
  Usage,
} from '../replica.ts'
import { Slots } from '../slots.ts'
import { sourceOf } from '../source.ts'
import { temporaryDirectory, temporaryName } from '../temporary.ts'
import { Throttle } from '../throttle.ts'
import { formatWebHdfsUrl, parseWebHdfsUrl } from './address.ts'
import { download } from './download.ts'
import { type FileStatus, isListed } from './json.ts'
import { KnownPlaces } from './known-places.ts'
import { NameNodes } from './name-nodes.ts'
import { NameSpace } from './name-space.ts'
import { refusedError } from './remote.ts'
import { type Move, type MoveOutcome, move } from './settle.ts'
import type { TlsOptions } from './transport.ts'
import { type UploadPlace, discardTemporary, uploadTemporary } from './upload.ts'

export interface WebHdfsOptions {
  /** Instead of a user's name, which then only goes into `url`. A secret: it is never shown. */
  readonly delegationToken?: string
  readonly tls?: TlsOptions
  /** Over all transfers together. */
  readonly bytesPerSecondMax?: number
  readonly limits?: ReplicaLimits
}

export class WebHdfsReplica implements Replica {
  readonly url: string
  readonly #env: Env
  readonly #limits: ReplicaLimits
  readonly #nameNodes: NameNodes
  readonly #nameSpace: NameSpace
  readonly #throttle: Throttle
  readonly #known = new KnownPlaces()
  readonly #slots: Slots
  readonly #closing = new AbortController()
  #isReady = false

  /** Nothing is asked yet. Errors: USAGE for a URL that is none. */
  constructor(env: Env, url: string, options: WebHdfsOptions = {}) {
    const address = parseWebHdfsUrl(url)
    const limits = options.limits ?? replicaLimits
    const { delegationToken, tls } = options
    this.url = formatWebHdfsUrl(address)
    this.#env = env
    this.#limits = limits
    this.#nameNodes = new NameNodes({ address, delegationToken, tls, socketsMax: 2 * limits.callsMax })
    this.#nameSpace = new NameSpace(this.#nameNodes)
    this.#throttle = new Throttle(env, options.bytesPerSecondMax ?? null)
    this.#slots = new Slots(limits.callsMax, limits.waitingCallsMax)
  }

  async *list(directory: string, options?: CallOptions): AsyncGenerator<ReplicaEntry> {
    checkPath(directory, 'root allowed')
    for (let after = '', remaining = 1; remaining > 0;) {
      const page = await this.#call(options, (call) => this.#nameSpace.page(call, directory, after))
      yield* page.entries.filter(isListed).map(entryOf)
      after = page.entries.at(-1)?.name ?? after
      remaining = page.remaining
    }
  }

  async stat(path: string, options?: CallOptions): Promise<ReplicaEntry | null> {
    checkPath(path, 'root allowed')
    const status = await this.#call(options, (call) => this.#nameSpace.status(call, path))
    return status === null || status.kind === 'other' ? null : entryOf({ ...status, name: nameOf(path) })
  }

  async *read(path: string, range: ReadRange = {}): AsyncGenerator<Uint8Array> {
    checkPath(path)
    const { offset = 0, bytes = Infinity } = range
    using _slot = await this.#slots.take()
    using call = this.#begin(range, this.#limits.transferTimeoutMs)
    const place = { nameNodes: this.#nameNodes, throttle: this.#throttle, known: this.#known }
    yield* download(place, call, { path, offset, bytes })
  }

  async put(path: string, source: ObjectSource | Uint8Array, options: PutOptions = {}): Promise<PutResult> {
    checkPath(path)
    const mode = options.replace === true ? 'replace' : 'fail'
    const { outcome, result } = await this.#place(sourceOf(source), options, { to: path, mode })
    if (outcome === 'exists') throw new HoldfastError('EXISTS', `${path} exists on the replica already`)
    if (outcome === 'noParent') throw new HoldfastError('NOT_FOUND', `the directory of ${path} is not on the replica`)
    return result
  }

  async publish(directory: string, name: string, bytes: Uint8Array, options?: CallOptions): Promise<void> {
    const to = joinPath(openPart(checkPath(directory)), checkName(name))
    const later = joinPath(closedPart(directory), name)
    const { outcome } = await this.#place(sourceOf(bytes), options, { to, later, mode: 'fail' })
    if (outcome === 'exists') throw new HoldfastError('EXISTS', `${to} exists on the replica already`)
    if (outcome === 'noParent') throw new HoldfastError('FENCED', `${directory} was closed: another writer took over`)
  }

  async publishIntent(path: string, directory: string, name: string, options?: CallOptions): Promise<void> {
    const to = joinPath(openPart(checkPath(directory)), checkName(name))
    const later = joinPath(closedPart(directory), name)
    const outcome = await this.#moveNamed(checkPath(path), { to, later }, options)
    if (outcome === 'noParent') throw new HoldfastError('FENCED', `${directory} was closed: another writer took over`)
    if (outcome === 'exists') throw new HoldfastError('EXISTS', `${to} exists on the replica already`)
    if (outcome === 'gone') throw new HoldfastError('NOT_FOUND', `there is no ${path} on the replica any more`)
  }

  async move(from: string, to: string, options?: CallOptions): Promise<void> {
    const outcome = await this.#moveNamed(checkPath(from), { to: checkPath(to) }, options)
    if (outcome === 'exists') throw new HoldfastError('EXISTS', `${to} exists on the replica already`)
    if (outcome === 'done') return
    throw new HoldfastError('NOT_FOUND', `there is no ${from} on the replica, or no directory for ${to}`)
  }

  async openGeneration(directory: string, name: string, bytes: Uint8Array, options?: OpenOptions): Promise<void> {
    checkPath(directory)
    checkName(name)
    const outcome = await this.#call(options, async (call) => {
      const place = await this.#uploadPlace(call)
      const prepared = joinPath(temporaryDirectory, temporaryName(this.#env))
      const making = this.#nameSpace.makeDirectory(call, openPart(prepared))
        .then(() => this.#nameSpace.status(call, prepared))
      const [status, { path, fileId }] = await Promise.all([making, uploadTemporary(place, call, sourceOf(bytes))])
      await this.#move(call, { from: path, fileId, to: joinPath(openPart(prepared), name), mode: 'fail' })
      if (status === null) throw new HoldfastError('REPLICA_UNCLEAR', `what was to become ${directory} is gone`)
      if (await options?.after === false) {
        await discardTemporary(this.#nameSpace, call, prepared)
        throw notOpened(directory)
      }
      return this.#move(call, { from: prepared, fileId: status.fileId, to: directory, mode: 'fail' })
    })
    if (outcome === 'exists') throw new HoldfastError('EXISTS', `${directory} exists on the replica already`)
    if (outcome === 'noParent') throw new HoldfastError('NOT_FOUND', `the parent of ${directory} is not on the replica`)
  }

  async closeGeneration(directory: string, options?: CallOptions): Promise<CloseOutcome> {
    const open = openPart(checkPath(directory))
    const closed = closedPart(directory)
    return this.#call(options, async (call) => {
      for (let tries = 1; ; tries++) {
        const answer = await this.#nameSpace.rename(call, open, closed, 'fail')
        if (answer.kind === 'done') return 'won'
        if (answer.kind === 'refused') {
          if (await this.#isThere(call, open)) throw refusedError(answer.failure, `closing ${directory}`)
          if (await this.#isThere(call, closed)) return 'closed'
          throw new HoldfastError('NOT_FOUND', `${directory} was never opened`, { cause: answer.failure })
        }
        call.isUnclear = true
        await call.backOff(tries)
      }
    })
  }

  async makeDirectory(path: string, options?: CallOptions): Promise<void> {
    checkPath(path, 'root allowed')
    await this.#call(options, (call) => this.#nameSpace.makeDirectory(call, path))
  }

  async remove(path: string, options?: CallOptions): Promise<void> {
    checkPath(path)
    await this.#call(options, (call) => this.#nameSpace.remove(call, path))
  }

  async copies(path: string, options?: CallOptions): Promise<Copies> {
    checkPath(path)
    return this.#call(options, async (call) => {
      const [copies, meant] = await Promise.all([
        this.#nameSpace.blockCopies(call, path), this.#nameSpace.copiesMeant(call, path),
      ])
      const wanted = Math.min(meant, hdfsCopiesEnough)
      // An empty object has no blocks: it is where the names are.
      return { have: copies.length === 0 ? wanted : Math.min(...copies), wanted }
    })
  }

  async usage(options?: CallOptions): Promise<Usage> {
    return this.#call(options, async (call) => {
      const summary = await this.#nameSpace.summary(call, '')
      return { ...summary, freeBytes: await this.#nameSpace.freeBytes(call) }
    })
  }

  async removeTemporaries(olderThanMs: number, options?: CallOptions): Promise<number> {
    return this.#call(options, async (call) => {
      const now = await uploadTemporary(await this.#uploadPlace(call), call, sourceOf(new Uint8Array()))
      const nowMs = (await this.#nameSpace.status(call, now.path))?.modifiedMs ?? 0
      await this.#nameSpace.remove(call, now.path)
      let removed = 0
      for (let after = '', remaining = 1; remaining > 0;) {
        const page = await this.#nameSpace.page(call, temporaryDirectory, after)
        for (const { name, modifiedMs } of page.entries) {
          if (nowMs - modifiedMs < olderThanMs) continue
          await this.#nameSpace.remove(call, joinPath(temporaryDirectory, name), 'deep')
          removed++
        }
        after = page.entries.at(-1)?.name ?? after
        remaining = page.remaining
      }
      return removed
    })
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#nameNodes.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** An object uploaded, compared, and then named. */
  async #place(
    source: ObjectSource, options: CallOptions | undefined, step: Pick<Move, 'to' | 'later' | 'mode'>,
  ): Promise<{ outcome: MoveOutcome; result: PutResult }> {
    using _slot = await this.#slots.take()
    const { callTimeoutMs, transferTimeoutMs } = this.#limits
    using call = this.#begin(options, source.bytes > pieceBytes ? transferTimeoutMs : callTimeoutMs)
    const { path, fileId, bytes, crc32 } = await uploadTemporary(await this.#uploadPlace(call), call, source)
    const outcome = await this.#move(call, { ...step, from: path, fileId })
    return { outcome, result: { bytes, crc32 } }
  }

  /** What did not get its name is removed. */
  async #move(call: Call, step: Move): Promise<MoveOutcome> {
    const outcome = await move(this.#nameSpace, call, step)
    if (outcome === 'gone') throw new HoldfastError('REPLICA_UNCLEAR', `what was to become ${step.to} is gone`)
    if (outcome !== 'done') await discardTemporary(this.#nameSpace, call, step.from)
    return outcome
  }

  /** An object that has a name keeps it where it does not get the other one. */
  async #moveNamed(
    from: string, step: Pick<Move, 'to' | 'later'>, options: CallOptions | undefined,
  ): Promise<MoveOutcome> {
    return this.#call(options, async (call) => {
      const status = await this.#nameSpace.status(call, from)
      if (status !== null) return move(this.#nameSpace, call, { ...step, from, fileId: status.fileId, mode: 'fail' })
      for (const place of [step.to, step.later ?? step.to]) if (await this.#isThere(call, place)) return 'exists'
      return step.later === undefined || await this.#isThere(call, parentOf(step.to)) ? 'gone' : 'noParent'
    })
  }

  /** The directory of temporary names is made once; never the root, so that a mistyped URL leaves nothing behind. */
  async #uploadPlace(call: Call): Promise<UploadPlace> {
    if (!this.#isReady) {
      if (!await this.#isThere(call, '')) {
        throw new HoldfastError('NOT_FOUND', `there is no ${this.url}: check it, or make the directory`)
      }
      await this.#nameSpace.makeDirectory(call, temporaryDirectory)
      this.#isReady = true
    }
    return {
      nameNodes: this.#nameNodes, nameSpace: this.#nameSpace, throttle: this.#throttle, directory: temporaryDirectory,
    }
  }

  async #isThere(call: Call, path: string): Promise<boolean> {
    return await this.#nameSpace.status(call, path) !== null
  }

  async #call<T>(options: CallOptions | undefined, run: (call: Call) => Promise<T>): Promise<T> {
    using _slot = await this.#slots.take()
    using call = this.#begin(options, this.#limits.callTimeoutMs)
    return await run(call)
  }

  #begin(options: CallOptions | undefined, timeoutMs: number): Call {
    return new Call({ env: this.#env, limits: this.#limits, closing: this.#closing.signal }, options, timeoutMs)
  }
}

function entryOf({ name, kind, bytes, modifiedMs }: FileStatus): ReplicaEntry {
  return { name, kind: kind === 'directory' ? 'directory' : 'object', bytes: kind === 'object' ? bytes : 0, modifiedMs }
}
