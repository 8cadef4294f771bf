/**
 * What the binding calls, one handler for each callback of libfuse: takes its arguments apart, lets
 * `calls.ts` carry it out, and signals the outcome in the form that this callback wants:
 *
 *   most                       signal(locals, errno)
 *   getattr, statfs            signal(locals, errno, words)          the words also with an errno
 *   create                     signal(locals, errno, handle)
 *   read, write                signal(locals, errno or count, 0, lent)   gives the lent buffer back
 *   set-, get-, listxattr      signal(locals, errno or size, lent)
 *   readlink                   signal(locals, errno, target)
 *   readdir                    signal(locals, errno, names, words of each)
 */
import { isUtf8 } from 'node:buffer'
import { ERRNO } from '../errno.ts'
import type { Errno } from '../errno.ts'
import { DEFERRED } from '../results.ts'
import type { Bytes, Deferred, Outcome } from '../results.ts'
import type { NativeBinding, NativeHandler } from './binding.ts'
import { OPERATIONS_MAX } from './binding.ts'
import type { NativeCalls } from './calls.ts'
import { timesOf } from './locals.ts'
import type { NativeReplies } from './replies.ts'
import { entryWords, isShowable, STAT_WORDS, STATVFS_WORDS, statvfsWords, statWords } from './words.ts'

export interface NativeCounts {
  requestCount: number
  /** Throws of the file system, answered EIO. */
  faultCount: number
}

export interface HandlerOptions {
  readonly calls: NativeCalls
  readonly replies: NativeReplies
  readonly counts: NativeCounts
  readonly onFault: (error: unknown) => void
}

/** The waiting request: answered once. */
interface Waiter {
  readonly locals: Buffer
  readonly signal: (result: number, ...values: unknown[]) => void
}

type Handler = (options: HandlerOptions, waiter: Waiter, ...values: never[]) => void

interface Row {
  readonly handler: Handler
  /** What goes with an errno. */
  readonly onFailure: (values: readonly unknown[]) => readonly unknown[]
}

const XATTR_VALUE_AT = 2
const XATTR_LIST_AT = 1
const LENT_AT = 2

const nothing = (): readonly unknown[] => []
const lentBack = (at: number) => (values: readonly unknown[]) => [(values[at] as Buffer).buffer]
const transferBack = (values: readonly unknown[]): readonly unknown[] => [0, (values[LENT_AT] as Buffer).buffer]

const rows: Readonly<Record<string, Row>> = {
  getattr: { handler: getattr, onFailure: () => [new Uint32Array(STAT_WORDS)] },
  statfs: { handler: statfs, onFailure: () => [new Uint32Array(STATVFS_WORDS)] },
  read: { handler: read, onFailure: transferBack },
  write: { handler: write, onFailure: transferBack },
  readdir: { handler: readdir, onFailure: () => [[], []] },
  readlink: { handler: readlink, onFailure: () => [''] },
  create: {
    handler: ({ calls }, waiter, path: string, mode: number) => waiter.signal(inTime(calls.create(path, mode)), 0),
    onFailure: () => [0],
  },
  setxattr: { handler: setxattr, onFailure: lentBack(XATTR_VALUE_AT) },
  getxattr: { handler: getxattr, onFailure: lentBack(XATTR_VALUE_AT) },
  listxattr: { handler: listxattr, onFailure: lentBack(XATTR_LIST_AT) },
  removexattr: plain((calls, path: string, name: string) => calls.removexattr(path, name)),
  fsync: { handler: synchronizer('fsync'), onFailure: nothing },
  fsyncdir: { handler: synchronizer('fsyncdir'), onFailure: nothing },
  truncate: plain((calls, path: string, low: number, high: number) => calls.truncate(path, { low, high })),
  utimens: { handler: utimens, onFailure: nothing },
  chown: plain((calls, path: string, uid: number, gid: number) => calls.chown(path, uid, gid)),
  chmod: plain((calls, path: string, mode: number) => calls.chmod(path, mode)),
  mknod: plain((calls, path: string, mode: number, device: number) => calls.mknod(path, mode, device)),
  unlink: plain((calls, path: string) => calls.unlink(path)),
  rename: plain((calls, path: string, newPath: string) => calls.rename(path, newPath)),
  link: plain((calls, path: string, newPath: string) => calls.link(path, newPath)),
  symlink: plain((calls, target: string, path: string) => calls.symlink(target, path)),
  mkdir: plain((calls, path: string, mode: number) => calls.mkdir(path, mode)),
  rmdir: plain((calls, path: string) => calls.rmdir(path)),
  init: plain(() => 0),
}

/** By the binding's numbers; `implemented` says which exist, so that libfuse answers ENOSYS for others. */
export function handlersFor(
  binding: NativeBinding,
  options: HandlerOptions,
): { handlers: (NativeHandler | undefined)[]; implemented: Uint32Array } {
  const handlers = new Array<NativeHandler | undefined>(OPERATIONS_MAX - 1).fill(undefined)
  const implemented = new Uint32Array(OPERATIONS_MAX)
  for (const [name, row] of Object.entries(rows)) {
    const operation = binding[`op_${name}`]
    handlers[operation] = handlerOf(binding, name, row, options)
    implemented[operation] = 1
  }
  return { handlers, implemented }
}

function handlerOf(binding: NativeBinding, name: string, row: Row, options: HandlerOptions): NativeHandler {
  const signal = binding[`fuse_native_signal_${name}`]
  return (locals, _, ...values) => {
    options.counts.requestCount++
    const answer = (result: number, ...more: unknown[]): void => signal(locals, result, ...more)
    const failed = (errno: Errno): void => answer(errno, ...row.onFailure(values))
    let isAnswered = false
    const waiter: Waiter = {
      locals,
      signal: (result, ...more) => {
        isAnswered = true
        if (result < 0) failed(result)
        else answer(result, ...more)
      },
    }
    try {
      row.handler(options, waiter, ...values as never[])
    } catch (error) {
      options.counts.faultCount++
      options.onFault(error)
      if (!isAnswered) failed(-ERRNO.EIO)
    }
  }
}

/** A callback that is answered with an errno alone. */
function plain<Values extends unknown[]>(
  call: (calls: NativeCalls, ...values: Values) => Outcome<number>,
): Row {
  const handler: Handler = ({ calls }, waiter, ...values) =>
    waiter.signal(inTime(call(calls, ...values as unknown[] as Values)))
  return { handler, onFailure: nothing }
}

function getattr({ calls }: HandlerOptions, waiter: Waiter, path: string): void {
  const found = inTime(calls.getattr(path))
  if (typeof found === 'number') waiter.signal(found)
  else if (!isShowable(found)) waiter.signal(-ERRNO.EOVERFLOW)
  else waiter.signal(0, statWords(found))
}

function statfs({ calls }: HandlerOptions, waiter: Waiter): void {
  const found = inTime(calls.statfs())
  if (typeof found === 'number') waiter.signal(found)
  else waiter.signal(0, statvfsWords(found))
}

function read(
  options: HandlerOptions, waiter: Waiter,
  path: string, _: number, into: Buffer, __: number, low: number, high: number,
): void {
  const context = options.calls.context('READ')
  const outcome = options.calls.read(path, into, { low, high }, context)
  settle(options, context.unique, outcome, (result) => {
    const bytes = typeof result === 'number' ? result : copied(result, into)
    waiter.signal(bytes, 0, into.buffer)
  })
}

function write(
  options: HandlerOptions, waiter: Waiter,
  path: string, _: number, from: Buffer, __: number, low: number, high: number,
): void {
  const context = options.calls.context('WRITE')
  const outcome = options.calls.write(path, from, { low, high }, context)
  settle(options, context.unique, outcome, (result) => waiter.signal(asErrno(result), 0, from.buffer))
}

/** Names that are no UTF-8 cannot be told. */
function readdir({ calls }: HandlerOptions, waiter: Waiter, path: string): void {
  const names: string[] = []
  const words: Uint32Array[] = []
  const outcome = calls.readdir(path, (name, inode, mode) => {
    if (!isUtf8(name)) return
    names.push(Buffer.from(name).toString())
    words.push(entryWords(mode, inode))
  })
  waiter.signal(inTime(outcome), names, words)
}

function readlink({ calls }: HandlerOptions, waiter: Waiter, path: string): void {
  const found = inTime(calls.readlink(path))
  if (typeof found === 'number') return waiter.signal(found)
  const target = found instanceof Uint8Array ? Buffer.from(found) : Buffer.concat(found)
  if (isUtf8(target)) waiter.signal(0, target.toString())
  else waiter.signal(-ERRNO.EILSEQ)
}

function setxattr(
  { calls }: HandlerOptions, waiter: Waiter,
  path: string, name: string, value: Buffer, _: number, flags: number,
): void {
  waiter.signal(inTime(calls.setxattr(path, name, value, flags)), value.buffer)
}

function getxattr({ calls }: HandlerOptions, waiter: Waiter, path: string, name: string, into: Buffer): void {
  fit(inTime(calls.getxattr(path, name)), into, waiter)
}

function listxattr({ calls }: HandlerOptions, waiter: Waiter, path: string, into: Buffer): void {
  fit(inTime(calls.listxattr(path)), into, waiter)
}

function utimens({ calls }: HandlerOptions, waiter: Waiter, path: string, low: number, high: number): void {
  const times = timesOf(waiter.locals, low, high)
  if (times === null) throw new RangeError('the structure of fuse-native is not the one that is known')
  waiter.signal(inTime(calls.utimens(path, times.accessed, times.modified)))
}

function synchronizer(operation: 'fsync' | 'fsyncdir'): Handler {
  return (options, waiter, path: string, dataOnly: number) => {
    const context = options.calls.context(operation === 'fsync' ? 'FSYNC' : 'FSYNCDIR')
    const outcome = options.calls[operation](path, dataOnly !== 0, context)
    settle(options, context.unique, outcome, (result) => waiter.signal(asErrno(result)))
  }
}

/** Asked with no room for the size, else with the room that there is. */
function fit(value: Uint8Array | Errno, into: Buffer, waiter: Waiter): void {
  if (typeof value === 'number') return waiter.signal(value)
  if (into.length > 0 && value.length > into.length) return waiter.signal(-ERRNO.ERANGE)
  if (into.length > 0) into.set(value)
  waiter.signal(value.length, into.buffer)
}

/** Answers now or, where the file system has kept the ticket, when it replies. */
function settle<Result extends number | Bytes>(
  { replies }: HandlerOptions, unique: number,
  outcome: Result | Deferred, answer: (result: number | Bytes) => void,
): void {
  if (outcome === DEFERRED) replies.expect(unique, answer)
  else answer(outcome)
}

/** For what only reads, writes and syncs may do: keep the ticket. */
function inTime<Value>(outcome: Value | Deferred): Value {
  if (outcome === DEFERRED) throw new TypeError('only reads, writes and syncs may be answered late')
  return outcome
}

function asErrno(result: number | Bytes): number {
  if (typeof result !== 'number') throw new TypeError('bytes are the answer to a read only')
  return result
}

function copied(bytes: Bytes, into: Buffer): number {
  let at = 0
  for (const piece of bytes instanceof Uint8Array ? [bytes] : bytes) {
    into.set(piece, at)
    at += piece.length
  }
  return at
}
