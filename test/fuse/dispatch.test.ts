import test from 'ava'
import { CONTROL_NODEID, DEFERRED, ERRNO } from '../../fuse/index.ts'
import type * as fuse from '../../fuse/index.ts'
import * as structures from '../../fuse/protocol/structures.ts'
import { Bench, kernelMessage, structure } from './kernel-message.ts'
import { MemoryFileSystem } from './memory-filesystem.ts'

const RESENT = 1n << 63n

class Recorder extends MemoryFileSystem {
  readonly seen: { context: fuse.RequestContext; request: unknown }[] = []
  outcome: fuse.Outcome<number> = 0

  override read(context: fuse.RequestContext, request: fuse.ReadRequest): fuse.Bytes | number | fuse.Deferred {
    this.seen.push({ context, request })
    return this.outcome
  }

  override write(context: fuse.RequestContext, request: fuse.WriteRequest): fuse.Outcome<number> {
    this.seen.push({ context, request })
    request.message.fill(0xee, 0, request.payloadAt)
    return request.payloadBytes
  }

  override setattr(context: fuse.RequestContext, request: fuse.SetattrRequest): fuse.Outcome<fuse.Attributes> {
    this.seen.push({ context, request })
    return super.getattr(context, { node: 1 })
  }

  override rename(context: fuse.RequestContext, request: fuse.RenameRequest): fuse.Errno {
    this.seen.push({ context, request })
    return 0
  }

  override batchForget(context: fuse.RequestContext, request: fuse.BatchForgetRequest): void {
    this.seen.push({ context, request })
  }
}

function readMessage(size: bigint, offset: bigint, unique = 8n): Buffer {
  const fixed = structure(structures.READ_IN, { size, offset })
  return kernelMessage({ opcode: 'READ', unique, node: 5n, fixed })
}

test('a read at the last byte that a file can have keeps its offset exactly', (t) => {
  const operations = new Recorder()
  const offset = 2n ** 63n - 2n
  new Bench(operations).ask(readMessage(1n, offset))
  const request = operations.seen[0].request as fuse.ReadRequest
  t.is(BigInt(request.chunk) * 65_536n + BigInt(request.within), offset)
  t.true(Number.isSafeInteger(request.chunk))
})

test('the context says who asks, and a resent request keeps its mark in the reply', (t) => {
  const operations = new Recorder()
  const bench = new Bench(operations)
  const answer = bench.ask(readMessage(4096n, 0n, RESENT | 4242n))
  t.deepEqual(operations.seen[0].context, { unique: 4242, resent: true, opcode: 15, uid: 1000, gid: 100, pid: 77 })
  t.is(answer.unique, RESENT | 4242n)
  t.false(bench.ask(readMessage(1n, 0n, 6n)).error !== 0)
  t.false(operations.seen[1].context.resent)
})

test('a write may overwrite everything before its payload, and is answered all the same', (t) => {
  const operations = new Recorder()
  const fixed = structure(structures.WRITE_IN, { offset: 65_540n, size: 3n, write_flags: 5n })
  const answer = new Bench(operations).ask(kernelMessage({ opcode: 'WRITE', unique: 12n, fixed, tail: 'abc' }))
  const request = operations.seen[0].request as fuse.WriteRequest
  t.like(request, { chunk: 1, within: 4, payloadBytes: 3, fromCache: true, killsPrivileges: true })
  t.true(request.payloadAt >= 80)
  t.is(request.message.subarray(request.payloadAt, request.payloadAt + 3).toString(), 'abc')
  t.like(answer, { error: 0, unique: 12n, length: 24 })
  t.is(answer.body.readUInt32LE(0), 3)
})

test('setattr carries only the fields that its mask names', (t) => {
  const operations = new Recorder()
  const fixed = structure(structures.SETATTR_IN, {
    valid: BigInt(1 | 8 | 32 | 128),
    mode: 0o600n,
    size: 2n ** 60n,
    mtime: -5n,
    mtimensec: 7n,
    uid: 9n,
  })
  new Bench(operations).ask(kernelMessage({ opcode: 'SETATTR', fixed }))
  const request = operations.seen[0].request as fuse.SetattrRequest
  t.is(request.mode, 0o600)
  t.is(request.size, 2n ** 60n)
  t.deepEqual(request.modified, { seconds: -5, nanoseconds: 7 })
  t.is(request.accessed, 'now')
  t.is(request.uid, undefined)
  t.is(request.changed, undefined)
})

test('both forms of rename reach one method', (t) => {
  const operations = new Recorder()
  const bench = new Bench(operations)
  const old = structure(structures.RENAME_IN, { newdir: 3n })
  bench.ask(kernelMessage({ opcode: 'RENAME', fixed: old, tail: 'a\0b\0' }))
  const exchange = structure(structures.RENAME2_IN, { newdir: 4n, flags: 2n })
  bench.ask(kernelMessage({ opcode: 'RENAME2', fixed: exchange, tail: 'c\0\xff\0' }))
  t.like(operations.seen[0].request, { newParent: 3, exchange: false, noReplace: false })
  const second = operations.seen[1].request as fuse.RenameRequest
  t.like(second, { newParent: 4, exchange: true, noReplace: false })
  t.is(second.newName.toString(), '\xff')
  const whiteout = structure(structures.RENAME2_IN, { newdir: 4n, flags: 4n })
  t.is(bench.ask(kernelMessage({ opcode: 'RENAME2', fixed: whiteout, tail: 'c\0d\0' })).error, -ERRNO.EINVAL)
})

test('forgets are taken and never answered', (t) => {
  const operations = new Recorder()
  const bench = new Bench(operations)
  const tail = Buffer.concat([
    structure(structures.FORGET_ONE, { nodeid: 7n, nlookup: 2n }),
    structure(structures.FORGET_ONE, { nodeid: 8n, nlookup: 1n }),
  ])
  const fixed = structure(structures.BATCH_FORGET_IN, { count: 2n })
  t.false(bench.ask(kernelMessage({ opcode: 'BATCH_FORGET', fixed, tail })).isSent)
  t.deepEqual(operations.seen[0].request, { forgets: [{ node: 7, count: 2 }, { node: 8, count: 1 }] })
  const tooMany = structure(structures.BATCH_FORGET_IN, { count: 2n ** 32n - 1n })
  t.false(bench.ask(kernelMessage({ opcode: 'BATCH_FORGET', fixed: tooMany, tail })).isSent)
  t.is(bench.dispatcher.counts.malformedCount, 1)
  t.is(operations.seen.length, 1)
})

test('a deferred request is not answered, a throw is EIO and reported', (t) => {
  const operations = new Recorder()
  const bench = new Bench(operations)
  operations.outcome = DEFERRED
  t.false(bench.ask(readMessage(1n, 0n)).isSent)
  operations.outcome = -ERRNO.EDQUOT
  t.is(bench.ask(readMessage(1n, 0n)).error, -ERRNO.EDQUOT)
  operations.outcome = 2
  t.is(bench.ask(readMessage(1n, 0n)).error, -ERRNO.EIO)
  t.is(bench.faults.length, 1)
  t.is(bench.dispatcher.counts.faultCount, 1)
})

test('an entry carries its attributes, sizes above 2^53 included', (t) => {
  class Big extends MemoryFileSystem {
    override lookup(context: fuse.RequestContext): fuse.Entry {
      const attributes = { ...this.getattr(context, { node: 1 }), sizeChunk: 2 ** 47 - 1, sizeWithin: 65_535 }
      const modified = { seconds: -2, nanoseconds: 999 }
      return { node: 2 ** 52, attributes: { ...attributes, modified }, validSeconds: 0.5 }
    }
  }
  const { body } = new Bench(new Big()).ask(kernelMessage({ opcode: 'LOOKUP', tail: 'x\0' }))
  const { ENTRY_OUT, ATTR } = structures
  t.is(body.length, ENTRY_OUT.bytes)
  t.is(body.readBigUInt64LE(ENTRY_OUT.at.nodeid), 2n ** 52n)
  t.is(body.readUInt32LE(ENTRY_OUT.at.entry_valid_nsec), 500_000_000)
  t.is(body.readBigUInt64LE(ENTRY_OUT.at.attr_valid), 1n)
  t.is(body.readBigUInt64LE(ENTRY_OUT.at.attr + ATTR.at.size), 2n ** 63n - 1n)
  t.is(body.readBigInt64LE(ENTRY_OUT.at.attr + ATTR.at.mtime), -2n)
  t.is(body.readUInt32LE(ENTRY_OUT.at.attr + ATTR.at.mode), 0o040755)
})

test('a name that is absent is answered with node 0, which the kernel remembers', (t) => {
  const { body, error } = new Bench().ask(kernelMessage({ opcode: 'LOOKUP', tail: 'none\0' }))
  t.is(error, 0)
  t.is(body.readBigUInt64LE(0), 0n)
  t.is(body.readBigUInt64LE(structures.ENTRY_OUT.at.entry_valid), 1n)
})

test('extended attributes are fitted to the room that was asked for', (t) => {
  const bench = new Bench()
  const set = structure(structures.SETXATTR_IN, { size: 5n })
  t.is(bench.ask(kernelMessage({ opcode: 'SETXATTR', fixed: set, tail: 'user.a\0hello' })).error, 0)
  const get = (size: bigint) =>
    bench.ask(kernelMessage({ opcode: 'GETXATTR', fixed: structure(structures.GETXATTR_IN, { size }), tail: 'user.a\0' }))
  t.is(get(0n).body.readUInt32LE(0), 5)
  t.is(get(4n).error, -ERRNO.ERANGE)
  t.is(get(64n).body.toString(), 'hello')
})

test('a directory is given in parts that fit, each entry padded to 8 bytes', (t) => {
  const operations = new MemoryFileSystem()
  const bench = new Bench(operations)
  const create = structure(structures.CREATE_IN, { mode: 0o644n })
  for (let index = 0; index < 20; index++) {
    bench.ask(kernelMessage({ opcode: 'CREATE', fixed: create, tail: `name-${index}\0` }))
  }
  const names: string[] = []
  for (let cookie = 0n; ; ) {
    const fixed = structure(structures.READ_IN, { size: 100n, offset: cookie })
    const { body } = bench.ask(kernelMessage({ opcode: 'READDIR', fixed }))
    if (body.length === 0) break
    t.true(body.length <= 100 && body.length % 8 === 0)
    for (let at = 0; at < body.length; ) {
      const bytes = body.readUInt32LE(at + structures.DIRENT.at.namelen)
      const start = at + structures.DIRENT.bytes
      names.push(body.toString('utf8', start, start + bytes))
      cookie = body.readBigUInt64LE(at + structures.DIRENT.at.off)
      at = Math.ceil((start + bytes) / 8) * 8
    }
  }
  t.deepEqual(names, ['.', '..', ...Array.from({ length: 20 }, (_, index) => `name-${index}`)])
})

test('only entries that readdirplus has taken count as references', (t) => {
  const operations = new MemoryFileSystem()
  const bench = new Bench(operations)
  const create = structure(structures.CREATE_IN, { mode: 0o644n })
  for (const name of ['a', 'b', 'c']) bench.ask(kernelMessage({ opcode: 'CREATE', fixed: create, tail: `${name}\0` }))
  const fixed = structure(structures.READ_IN, { size: 160n * 3n })
  const { body } = bench.ask(kernelMessage({ opcode: 'READDIRPLUS', fixed }))
  t.is(body.length, 160 * 3)
  t.deepEqual([2, 3, 4].map((node) => operations.inodes.get(node)?.references), [2, 1, 1])
})

test('methods left out are ENOSYS, and closing succeeds', (t) => {
  const bench = new Bench()
  t.is(bench.ask(kernelMessage({ opcode: 'OPEN', fixed: Buffer.alloc(8) })).error, -ERRNO.ENOSYS)
  t.is(bench.ask(kernelMessage({ opcode: 'FLUSH', fixed: Buffer.alloc(24) })).error, -ERRNO.ENOSYS)
  t.is(bench.ask(kernelMessage({ opcode: 'RELEASE', fixed: Buffer.alloc(24) })).error, 0)
  t.is(bench.ask(kernelMessage({ opcode: 'INTERRUPT', fixed: Buffer.alloc(8) })).error, -ERRNO.ENOSYS)
  t.is(bench.ask(kernelMessage({ opcode: 'IOCTL', fixed: Buffer.alloc(32) })).error, -ERRNO.ENOTTY)
  t.is(bench.ask(kernelMessage({ opcode: 53, fixed: Buffer.alloc(24) })).error, -ERRNO.ENOSYS)
  t.is(bench.dispatcher.counts.unknownCount, 1)
  t.is(bench.ask(kernelMessage({ opcode: 'STATX', fixed: Buffer.alloc(24) })).error, -ERRNO.ENOSYS)
})

test('collapsing a range is not supported, the other kinds are told apart', (t) => {
  const kinds: string[] = []
  class Kinds extends MemoryFileSystem {
    override fallocate(_: fuse.RequestContext, request: fuse.FallocateRequest): fuse.Completion {
      kinds.push(`${request.kind} ${request.keepSize}`)
      return 0
    }
  }
  const bench = new Bench(new Kinds())
  const ask = (mode: bigint) =>
    bench.ask(kernelMessage({ opcode: 'FALLOCATE', fixed: structure(structures.FALLOCATE_IN, { mode, length: 1n }) })).error
  t.deepEqual([ask(0n), ask(1n), ask(3n), ask(16n), ask(17n)], [0, 0, 0, 0, 0])
  t.deepEqual(kinds, ['allocate false', 'allocate true', 'punch true', 'zero false', 'zero true'])
  t.is(ask(8n), -ERRNO.EOPNOTSUPP)
})

test('the control file is found by its name alone, and each read runs the hook', (t) => {
  let pokes = 0
  const onControl = () => Buffer.from(`poke ${++pokes}`)
  const bench = new Bench(new MemoryFileSystem(), { controlName: '.secret', onControl })
  const found = bench.ask(kernelMessage({ opcode: 'LOOKUP', tail: '.secret\0' })).body
  t.is(found.readBigUInt64LE(0), BigInt(CONTROL_NODEID))
  t.is(found.readBigUInt64LE(structures.ENTRY_OUT.at.entry_valid), 0n)
  const node = BigInt(CONTROL_NODEID)
  const read = kernelMessage({ opcode: 'READ', node, fixed: structure(structures.READ_IN, { size: 4096n }) })
  t.is(bench.ask(read).body.toString(), 'poke 1')
  t.is(bench.ask(read).body.toString(), 'poke 2')
  t.is(bench.ask(kernelMessage({ opcode: 'WRITE', node, fixed: Buffer.alloc(40) })).error, -ERRNO.EPERM)
  t.is(bench.ask(kernelMessage({ opcode: 'LOOKUP', node: 2n ** 51n, tail: '.secret\0' })).error, -ERRNO.EIO)
  const { body } = bench.ask(kernelMessage({ opcode: 'READDIR', fixed: structure(structures.READ_IN, { size: 4096n }) }))
  t.false(body.includes('.secret'))
})

test('INIT takes what is wanted of what is offered, and says so', (t) => {
  const bench = new Bench()
  const offer = (minor: bigint, flags: bigint, flags2: bigint) =>
    bench.ask(
      kernelMessage({
        opcode: 'INIT',
        fixed: structure(structures.INIT_IN, { major: 7n, minor, max_readahead: 131_072n, flags, flags2 }),
      }),
    )
  const all = offer(45n, 2n ** 32n - 1n, 2n ** 32n - 1n)
  const { at } = structures.INIT_OUT
  t.is(all.body.readUInt32LE(at.minor), 40)
  t.is(all.body.readUInt32LE(at.max_write), 1_048_576)
  t.is(all.body.readUInt16LE(at.max_background), 512)
  t.is(all.body.readUInt16LE(at.max_pages), 256)
  t.is(all.body.readUInt32LE(at.time_gran), 1)
  const flags = bench.agreed[0].flags
  t.true(flags.includes('HAS_RESEND') && flags.includes('MAX_PAGES') && flags.includes('HANDLE_KILLPRIV_V2'))
  t.false(flags.includes('WRITEBACK_CACHE') || flags.includes('AUTO_INVAL_DATA') || flags.includes('POSIX_ACL'))
  t.false(flags.includes('ATOMIC_O_TRUNC'))
  t.is(all.body.readUInt32LE(at.flags2), (1 << 4) | (1 << 7))
  t.is(offer(40n, 1n, 0n).body.readUInt32LE(at.flags), 1)
  t.is(offer(31n, 0n, 0n).error, -ERRNO.EPROTO)
})
