/** The native transport's own parts, without a mount. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { DEFERRED, ERRNO, FuseError } from '../../fuse/index.ts'
import type * as fuse from '../../fuse/index.ts'
import { findFusermount } from '../../fuse/fusermount.ts'
import { loadBinding } from '../../fuse/native/binding.ts'
import type { NativeBinding } from '../../fuse/native/binding.ts'
import { NativeCalls } from '../../fuse/native/calls.ts'
import { handlersFor } from '../../fuse/native/handlers.ts'
import { timesOf } from '../../fuse/native/locals.ts'
import { NodePaths } from '../../fuse/native/paths.ts'
import { NativeReplies } from '../../fuse/native/replies.ts'
import { statvfsWords, statWords } from '../../fuse/native/words.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'

const owner = { uid: 7, gid: 8 }
const hidden = '/d/.fuse_hidden0123456789abcdef'

function calls(operations: fuse.FileOperations = new MemoryFileSystem()): NativeCalls {
  return new NativeCalls(operations, owner)
}

/** Counts what each node was given and what was taken back. */
class Counting extends MemoryFileSystem {
  readonly references = new Map<number, number>()

  override lookup(
    context: fuse.RequestContext, request: fuse.NameRequest,
  ): fuse.Entry | fuse.AbsentEntry | fuse.Errno {
    const found = super.lookup(context, request)
    if (typeof found === 'object' && found.node !== 0) this.#add(found.node, 1)
    return found
  }

  override create(context: fuse.RequestContext, request: fuse.CreateRequest): fuse.Outcome<fuse.Entry> {
    return this.#entered(super.create(context, request))
  }

  override mkdir(context: fuse.RequestContext, request: fuse.MakeRequest): fuse.Outcome<fuse.Entry> {
    return this.#entered(super.mkdir(context, request))
  }

  override forget(context: fuse.RequestContext, request: fuse.ForgetRequest): void {
    this.#add(request.node, -request.count)
    super.forget(context, request)
  }

  #entered(outcome: fuse.Outcome<fuse.Entry>): fuse.Outcome<fuse.Entry> {
    if (typeof outcome === 'object') this.#add(outcome.node, 1)
    return outcome
  }

  #add(node: number, count: number): void {
    this.references.set(node, (this.references.get(node) ?? 0) + count)
  }
}

test('each remembered path holds one reference, and no more paths are remembered than allowed', (t) => {
  const operations = new Counting()
  const context: fuse.RequestContext = { unique: 1, resent: false, opcode: 1, pid: 0, ...owner }
  const paths = new NodePaths(operations, () => context, 3)
  const made = new NativeCalls(operations, owner)
  for (const name of ['a', 'b', 'c', 'd', 'e']) t.is(made.create(`/${name}`, 0o644), 0)
  const before = new Map(operations.references)
  const nodes = ['a', 'b', 'c', 'd', 'e'].map((name) => paths.node(`/${name}`))
  t.is(paths.count, 3)
  const held = nodes.map((node) => (operations.references.get(node) ?? 0) - (before.get(node) ?? 0))
  t.deepEqual(held, [0, 0, 1, 1, 1])
  t.is(paths.node('/none'), -ERRNO.ENOENT)
  paths.drop('/c', false)
  t.is(operations.references.get(nodes[2]), before.get(nodes[2]))
})

test('a directory that is renamed takes what was remembered below it along', (t) => {
  const served = calls()
  t.is(served.mkdir('/d', 0o755), 0)
  t.is(served.create('/d/f', 0o644), 0)
  const node = served.paths.node('/d/f')
  t.is(served.rename('/d', '/e'), 0)
  t.is(served.paths.node('/d/f'), -ERRNO.ENOENT)
  t.is(served.paths.node('/e/f'), node)
})

test('a file removed while open loses its name and its place, and lives until libfuse lets go', (t) => {
  const operations = new Counting()
  const served = calls(operations)
  served.mkdir('/d', 0o755)
  served.create('/d/f', 0o644)
  const node = served.paths.node('/d/f')
  t.is(served.rename('/d/f', hidden), 0)
  t.is(served.paths.node('/d/f'), -ERRNO.ENOENT)
  t.is(served.paths.node(hidden), node)
  const names: string[] = []
  served.readdir('/d', (name) => names.push(Buffer.from(name).toString()))
  t.deepEqual(names.toSorted(), ['.', '..'])
  t.is((served.getattr(hidden) as fuse.Attributes).linkCount, 0)
  const payload = Buffer.from('late')
  t.is(served.write(hidden, payload, { low: 0, high: 0 }, served.context('WRITE')), 4)
  t.is(served.unlink(hidden), 0)
  t.is(operations.references.get(node), 0)
  t.false(operations.inodes.has(node))
  t.is(served.paths.node(hidden), -ERRNO.ENOENT)
})

test('offsets keep all their 64 bits', (t) => {
  class Recorder extends MemoryFileSystem {
    seen: fuse.WriteRequest | null = null
    size: bigint | undefined

    override write(_: fuse.RequestContext, request: fuse.WriteRequest): fuse.Outcome<number> {
      this.seen = request
      request.message.fill(0xee, 0, request.payloadAt)
      return request.payloadBytes
    }

    override setattr(context: fuse.RequestContext, request: fuse.SetattrRequest): fuse.Outcome<fuse.Attributes> {
      this.size = request.size
      return super.getattr(context, request)
    }
  }
  const operations = new Recorder()
  const served = calls(operations)
  served.create('/f', 0o644)
  const far = { low: 0xffff_fffe, high: 0x7fff_ffff }
  t.is(served.write('/f', Buffer.from('x'), far, served.context('WRITE')), 1)
  const { chunk = 0, within = 0, payloadAt = 0 } = operations.seen ?? {}
  t.is(BigInt(chunk) * 65_536n + BigInt(within), 2n ** 63n - 2n)
  t.true(payloadAt >= 80)
  t.is(served.truncate('/f', far), 0)
  t.is(operations.size, 2n ** 63n - 2n)
})

test('paths that the binding could not carry are refused, not guessed', (t) => {
  const served = calls()
  t.is(served.create('/\ufffd', 0o644), -ERRNO.EILSEQ)
  t.is(served.symlink('\ufffd', '/link'), -ERRNO.EILSEQ)
  t.is(served.rename('/none', '/\ufffd'), -ERRNO.EILSEQ)
})

test('the modification time is read where the binding left it, and nowhere else', (t) => {
  const locals = Buffer.alloc(200)
  locals.writeBigInt64LE(1_500_000_000_123n, 104)
  locals.writeBigInt64LE(-1500n, 112)
  const low = Number(1_500_000_000_123n % 2n ** 32n)
  const high = Number(1_500_000_000_123n / 2n ** 32n)
  t.deepEqual(timesOf(locals, low, high), {
    accessed: { seconds: 1_500_000_000, nanoseconds: 123_000_000 },
    modified: { seconds: -2, nanoseconds: 500_000_000 },
  })
  t.is(timesOf(locals, low + 1, high), null)
  t.is(timesOf(locals.subarray(0, 110), low, high), null)
})

test('sizes above 2^53 and counts of blocks above 2^32 are told in words', (t) => {
  const attributes = new MemoryFileSystem().getattr({ unique: 1, resent: false, opcode: 3, pid: 0, ...owner }, { node: 1 })
  const words = statWords({ ...attributes, sizeChunk: 2 ** 47 - 1, sizeWithin: 65_535, modified: { seconds: -5, nanoseconds: 0 } })
  t.deepEqual([...words.subarray(3, 5)], [0xffff_ffff, 0x7fff_ffff])
  t.deepEqual([...words.subarray(14, 16)], [0, 0])
  const statistics = { ...new MemoryFileSystem().statfs(), blockCount: 2 ** 34, freeBlockCount: 2 ** 33, inodeCount: 2 ** 33 }
  const [bytes, , blocks, free, , files] = statvfsWords(statistics)
  t.true(blocks < 2 ** 32 && bytes * blocks === statistics.blockBytes * 2 ** 34 && free * 2 === blocks)
  t.is(files, 2 ** 32 - 1)
})

test('a late answer is given once, and all that wait are failed at the end', (t) => {
  const replies = new NativeReplies()
  const ticket = { unique: 5, resent: false, opcode: 16 }
  const answers: unknown[] = []
  replies.expect(5, (result) => answers.push(result))
  t.true(replies.written(ticket, 4096))
  t.false(replies.written(ticket, 4096))
  replies.expect(6, (result) => answers.push(result))
  t.is(replies.waitingCount, 1)
  replies.failAll(-ERRNO.ENOTCONN)
  t.deepEqual(answers, [4096, -ERRNO.ENOTCONN])
  t.false(replies.done({ ...ticket, unique: 6 }))
})

test('a deferred write keeps its ticket, whose number is its own', (t) => {
  class Later extends MemoryFileSystem {
    readonly tickets: number[] = []

    override write(context: fuse.RequestContext): fuse.Outcome<number> {
      this.tickets.push(context.unique)
      return DEFERRED
    }
  }
  const operations = new Later()
  const served = calls(operations)
  served.create('/f', 0o644)
  for (let round = 0; round < 2; round++) {
    const context = served.context('WRITE')
    t.is(served.write('/f', Buffer.from('x'), { low: 0, high: 0 }, context), DEFERRED)
    t.is(operations.tickets.at(-1), context.unique)
  }
  t.is(new Set(operations.tickets).size, 2)
})

test('a missing package or program is said with what to install', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-native-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const module = t.throws(() => loadBinding(pathToFileURL(join(directory, 'x.js')).href), { instanceOf: FuseError })
  t.is(module?.code, 'FUSE_MODULE_MISSING')
  t.regex(module?.message ?? '', /npm install fuse-native@/)
  const program = t.throws(() => findFusermount(directory, []), { instanceOf: FuseError })
  t.is(program?.code, 'FUSE_FUSERMOUNT_MISSING')
  t.regex(program?.message ?? '', /package fuse/)
})

/** The binding's table with signals that are kept instead of sent. */
function fakeBinding(): { binding: NativeBinding; signals: { name: string; values: unknown[] }[] } {
  const signals: { name: string; values: unknown[] }[] = []
  let operations = 0
  const binding = new Proxy({} as NativeBinding, {
    get: (_, name: string) => name.startsWith('op_')
      ? operations++
      : (__: Buffer, ...values: unknown[]) => signals.push({ name: name.replace('fuse_native_signal_', ''), values }),
  })
  return { binding, signals }
}

test('each outcome is signalled in the form of its callback, and lent buffers go back', (t) => {
  class Moody extends MemoryFileSystem {
    mood: 'well' | 'faulty' | 'late' | 'pieces' = 'well'

    override read(context: fuse.RequestContext, request: fuse.ReadRequest): fuse.Bytes | number | fuse.Deferred {
      if (this.mood === 'faulty') throw new Error('a fault that the test wants')
      if (this.mood === 'pieces') return [Buffer.from('ab'), Buffer.from('c')]
      return this.mood === 'late' ? DEFERRED : super.read(context, request)
    }

    override write(context: fuse.RequestContext, request: fuse.WriteRequest): fuse.Outcome<number> {
      return this.mood === 'late' ? DEFERRED : super.write(context, request)
    }
  }
  const operations = new Moody()
  const { binding, signals } = fakeBinding()
  const faults: unknown[] = []
  const replies = new NativeReplies()
  const counts = { requestCount: 0, faultCount: 0 }
  const served = calls(operations)
  const names: string[] = []
  const numbering = new Proxy(binding, {
    get: (target, name: string) => {
      if (name.startsWith('op_')) names.push(name.slice(3))
      return Reflect.get(target, name) as unknown
    },
  })
  const { handlers } = handlersFor(numbering, { calls: served, replies, counts, onFault: (error) => faults.push(error) })
  const ask = (name: string, ...values: unknown[]): unknown[] | undefined => {
    const before = signals.length
    handlers[names.indexOf(name)]?.(Buffer.alloc(200), 0, ...values)
    return signals[before]?.values
  }
  const lent = Buffer.from('hello')
  t.deepEqual(ask('create', '/f', 0o644), [0, 0])
  t.deepEqual(ask('write', '/f', 0, lent, 5, 0, 0), [5, 0, lent.buffer])
  const into = Buffer.alloc(5)
  t.deepEqual(ask('read', '/f', 0, into, 5, 0, 0), [5, 0, into.buffer])
  t.is(into.toString(), 'hello')
  t.deepEqual(ask('read', '/none', 0, into, 5, 0, 0), [-ERRNO.ENOENT, 0, into.buffer])
  operations.mood = 'faulty'
  t.deepEqual(ask('read', '/f', 0, into, 5, 0, 0), [-ERRNO.EIO, 0, into.buffer])
  t.is(faults.length, 1)
  operations.mood = 'pieces'
  t.deepEqual(ask('read', '/f', 0, into, 5, 0, 0), [3, 0, into.buffer])
  t.is(into.toString(), 'abclo')
  operations.mood = 'late'
  t.is(ask('write', '/f', 0, lent, 5, 0, 0), undefined)
  t.true(replies.written({ unique: served.context('READ').unique - 1, resent: false, opcode: 16 }, 5))
  t.deepEqual(signals.at(-1)?.values, [5, 0, lent.buffer])
  operations.mood = 'well'
  t.deepEqual(ask('setxattr', '/f', 'user.a', lent, 0, 0), [0, lent.buffer])
  t.deepEqual(ask('getxattr', '/f', 'user.a', Buffer.alloc(0), 0)?.[0], 5)
  t.deepEqual(ask('getxattr', '/f', 'user.a', Buffer.alloc(4), 0)?.[0], -ERRNO.ERANGE)
  t.is((ask('getattr', '/none')?.[1] as Uint32Array).length, 18)
  t.deepEqual(ask('utimens', '/f', 1, 0, 1, 0), [-ERRNO.EIO], 'a structure that is not known sets no time')
  t.is(counts.faultCount, 2)
})
