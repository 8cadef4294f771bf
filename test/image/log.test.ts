/** The log's two ends: what was appended is read back in order, and a lane ends at its first lost record. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { crc32 } from 'node:zlib'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import type { DomainKeys } from '../../src/crypto/domain-keys.ts'
import { logRecordHeaderBytes, recordType, segmentHeaderBytes, writeRecordChecksum } from '../../src/format/log.ts'
import type { Lane } from '../../src/format/log.ts'
import { ImageLayout } from '../../src/image/layout.ts'
import { listSegments, LogReader } from '../../src/image/log-reader.ts'
import { LogWriter } from '../../src/image/log-writer.ts'
import { SyncMark } from '../../src/image/sync-mark.ts'
import { logRecordBytesMax } from '../../src/limits.ts'
import { FailingEnv } from '../store/failing-env.ts'
import { testKeys } from '../crypto/keys.ts'
import { isEncrypted } from '../store/variant.ts'

const imageId = Buffer.alloc(16, 0x1a)
const env = systemEnv()
const keys = isEncrypted ? testKeys : null
/** What sealing adds to a record. */
const sealBytes = isEncrypted ? 16 : 0

class Log {
  readonly layout: ImageLayout
  readonly writer: LogWriter
  readonly mark = new SyncMark()

  readonly #keys: DomainKeys | null

  constructor(t: ExecutionContext, writing = env, sequence = 10, domainKeys: DomainKeys | null = keys) {
    this.#keys = domainKeys
    const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-log-'))
    this.layout = new ImageLayout(directory, 'image')
    fs.mkdirSync(this.layout.log, { recursive: true })
    const identity = { domainId: Buffer.alloc(16, 0xd0), imageId, keys: domainKeys }
    this.writer = new LogWriter(writing, this.layout, identity, { segment: 1, sequence, connection: 4, syncMark: this.mark })
    t.teardown(() => {
      this.writer.close()
      fs.rmSync(directory, { recursive: true, force: true })
    })
  }

  append(lane: Lane, text: string | Buffer): number {
    const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), Buffer.from(text)])
    const request = { type: recordType.write, unique: 0n, inode: 5, chunk: 0, within: 0, timeNs: 1n }
    return this.writer.append(lane, request, message, logRecordHeaderBytes, message.length - logRecordHeaderBytes)
  }

  /** Payloads in order, after what is covered. */
  read(start: { sequence?: number; isWhole?: boolean; image?: Buffer } = {}): string[] {
    using reader = new LogReader(env, this.layout, start.image ?? imageId, this.#keys)
    const from = { sequence: start.sequence ?? 10, isWhole: start.isWhole ?? false }
    return Array.from(reader.records(listSegments(env, this.layout), from), ({ payload }) => payload.toString())
  }

  ruined(): readonly string[] {
    using reader = new LogReader(env, this.layout, imageId, this.#keys)
    for (const _ of reader.records(listSegments(env, this.layout), { sequence: 10, isWhole: false }));
    return reader.ruined
  }

  path(segment: number, lane: Lane): string {
    return this.layout.segment(segment, lane)
  }

  cut(segment: number, lane: Lane, bytes: number): void {
    const path = this.path(segment, lane)
    fs.truncateSync(path, fs.statSync(path).size - bytes)
  }
}

/** a b | c d | e, letters of the disk lane small, of the memory lane large. */
function written(t: ExecutionContext): Log {
  const log = new Log(t)
  for (const text of ['a', 'A', 'b', 'B']) log.append(text < 'a' ? 'memory' : 'disk', text)
  log.writer.rotate()
  for (const text of ['c', 'C', 'd']) log.append(text < 'a' ? 'memory' : 'disk', text)
  log.writer.rotate()
  for (const text of ['D', 'e']) log.append(text < 'a' ? 'memory' : 'disk', text)
  return log
}

const all = ['a', 'A', 'b', 'B', 'c', 'C', 'd', 'D', 'e']

test('records of both lanes come in the order of their sequence', (t) => {
  const log = written(t)
  t.deepEqual(log.read(), all)
  t.deepEqual(log.read({ isWhole: true }), all)
  t.deepEqual(listSegments(env, log.layout), [1, 2, 3])
})

test('a lane without records has no file', (t) => {
  const log = new Log(t)
  log.append('disk', 'only')
  t.deepEqual(fs.readdirSync(log.layout.log), ['00000001.disk'])
})

test('a torn tail ends its lane and not the other', (t) => {
  for (const bytes of [1, 10, 72]) {
    const log = written(t)
    log.cut(3, 'disk', bytes)
    t.deepEqual(log.read(), all.filter((text) => text !== 'e'))
  }
})

test('what follows a lost record of the lane in later segments is not read', (t) => {
  const log = written(t)
  log.cut(1, 'disk', 5)
  t.deepEqual(log.read(), ['a', 'A', 'B', 'C', 'D'])
  const other = written(t)
  other.cut(2, 'memory', 5)
  t.deepEqual(other.read(), ['a', 'A', 'b', 'B', 'c', 'd', 'e'])
})

test('an emptied file counts as torn, whatever follows', (t) => {
  for (const length of [0, 5, segmentHeaderBytes - 1, segmentHeaderBytes]) {
    const log = written(t)
    fs.truncateSync(log.path(2, 'disk'), length)
    t.deepEqual(log.read(), ['a', 'A', 'b', 'B', 'C', 'D'], `${length}`)
  }
})

test('a file whose name a crash lost counts as torn', (t) => {
  const log = written(t)
  fs.unlinkSync(log.path(1, 'disk'))
  t.deepEqual(log.read(), ['A', 'B', 'C', 'D'])
  t.deepEqual(log.read({ sequence: 14 }).slice(-5), ['c', 'C', 'd', 'D', 'e'])
})

/** As `written`, and from some record on the log says that `b` (12) or `d` (16) was synced. */
const witnesses: [said: string, mark: number, log: (t: ExecutionContext, mark: number) => Log][] = [
  ['in the segment', 12, (t, mark) => marked(t, mark, 2)],
  ['in a later segment', 16, (t, mark) => marked(t, mark, 3)],
]

function marked(t: ExecutionContext, mark: number, from: number): Log {
  const log = new Log(t)
  const texts = [['a', 'A', 'b', 'B'], ['c', 'C', 'd'], ['D', 'e']]
  for (const [index, segment] of texts.entries()) {
    if (index > 0) log.writer.rotate()
    if (index + 1 === from) log.mark.raise(mark)
    for (const text of segment) log.append(text < 'a' ? 'memory' : 'disk', text)
  }
  return log
}

for (const [where, mark, make] of witnesses) {
  test(`a record that was synced and is gone is damage, as is said ${where}`, (t) => {
    t.deepEqual(make(t, mark).read(), all)
    const losses: ((log: Log) => void)[] = [
      (log) => fs.unlinkSync(log.path(1, 'disk')),
      (log) => fs.truncateSync(log.path(1, 'disk'), 0),
      (log) => log.cut(1, 'disk', 1),
      (log) => flip(log.path(1, 'disk'), segmentHeaderBytes + logRecordHeaderBytes),
      (log) => flip(log.path(1, 'disk'), segmentHeaderBytes + 30),
    ]
    for (const [index, lose] of losses.entries()) {
      const log = make(t, mark)
      lose(log)
      t.throws(() => log.read(), { code: 'DAMAGED' }, `loss ${index}`)
    }
  })
}

test('damage in a segment is told by what lies behind it in the same file', (t) => {
  const log = new Log(t)
  log.append('disk', 'first')
  log.append('disk', Buffer.alloc(logRecordBytesMax - logRecordHeaderBytes - sealBytes, 7))
  log.mark.raise(11)
  for (const text of ['HFLR', 'HFLRHFLR', 'last']) log.append('disk', text)
  t.is(log.read().length, 5)
  flip(log.path(1, 'disk'), segmentHeaderBytes + logRecordHeaderBytes + 2)
  t.throws(() => log.read(), { code: 'DAMAGED' })
  log.cut(1, 'disk', 3 * (logRecordHeaderBytes + sealBytes) + 16)
  t.deepEqual(log.read(), [], 'who could tell is gone')
})

test('what no record says to be synced may be torn off', (t) => {
  const log = marked(t, 12, 2)
  flip(log.path(2, 'disk'), segmentHeaderBytes + logRecordHeaderBytes)
  t.deepEqual(log.read(), ['a', 'A', 'b', 'B', 'C', 'D'])
  const other = marked(t, 12, 2)
  fs.unlinkSync(other.path(2, 'disk'))
  t.deepEqual(other.read(), ['a', 'A', 'b', 'B', 'C', 'D'])
  t.notThrows(() => marked(t, 16, 3).read({ sequence: 17 }))
})

test('records behind a ruined header tell what of them was synced', (t) => {
  const make = (mark: number): Log => {
    const log = new Log(t)
    log.append('disk', 'first')
    log.mark.raise(mark)
    for (const text of ['second', 'third']) log.append('disk', text)
    flip(log.path(1, 'disk'), 30)
    return log
  }
  t.throws(() => make(10).read(), { code: 'DAMAGED', message: /begins with no header/ })
  t.throws(() => make(0).read({ isWhole: true }), { code: 'DAMAGED' }, 'while the writer runs nothing may be lost')
  const log = make(0)
  t.deepEqual(log.read(), [])
  t.deepEqual(log.ruined(), [log.path(1, 'disk')])
  // Of a file without its first record nothing is believed: what looks like records may be a guest's.
  const guest = make(10)
  flip(guest.path(1, 'disk'), segmentHeaderBytes + 40)
  t.deepEqual(guest.read(), [])
  fs.writeFileSync(guest.path(1, 'disk'), Buffer.alloc(5000))
  t.deepEqual([guest.read(), guest.ruined()], [[], []])
})

function flip(path: string, at: number): void {
  const bytes = fs.readFileSync(path)
  bytes[at] ^= 1
  fs.writeFileSync(path, bytes)
}

test('while the writer runs a lost record is damage', (t) => {
  for (const [segment, lane] of [[1, 'disk'], [1, 'memory'], [2, 'disk']] as const) {
    const log = written(t)
    log.cut(segment, lane, 1)
    t.throws(() => log.read({ isWhole: true }), { code: 'DAMAGED' }, `${segment} ${lane}`)
  }
})

test('a bit flipped in a record ends the lane there', (t) => {
  const log = written(t)
  const path = log.path(1, 'disk')
  const bytes = fs.readFileSync(path)
  bytes[segmentHeaderBytes + logRecordHeaderBytes + 40] ^= 4
  fs.writeFileSync(path, bytes)
  t.deepEqual(log.read(), ['a', 'A', 'B', 'C', 'D'])
})

test('records of an older file in the same blocks are not taken for ours', (t) => {
  const log = written(t)
  const stale = written(t)
  const size = fs.statSync(log.path(1, 'disk')).size
  const older = fs.readFileSync(stale.path(1, 'disk'))
  fs.appendFileSync(log.path(1, 'disk'), older.subarray(segmentHeaderBytes))
  t.deepEqual(log.read(), all)
  t.true(fs.statSync(log.path(1, 'disk')).size > size)
})

test('a file of another image, lane or number is refused', (t) => {
  const log = written(t)
  t.throws(() => log.read({ image: Buffer.alloc(16, 1) }), { code: 'DAMAGED' })
  const renamed = written(t)
  fs.copyFileSync(renamed.path(3, 'disk'), renamed.path(4, 'disk'))
  t.throws(() => renamed.read(), { code: 'DAMAGED' })
  const swapped = written(t)
  fs.copyFileSync(swapped.path(3, 'disk'), swapped.path(3, 'memory'))
  t.throws(() => swapped.read(), { code: 'DAMAGED' })
})

test('files with other names are left alone', (t) => {
  const log = written(t)
  for (const name of ['notes', '1.disk', '00000009.other', '00000009.disk.tmp']) fs.writeFileSync(join(log.layout.log, name), 'x')
  t.deepEqual(listSegments(env, log.layout), [1, 2, 3])
})

test('a segment of a newer version is refused, not skipped', (t) => {
  const log = written(t)
  const path = log.path(2, 'disk')
  const bytes = fs.readFileSync(path)
  bytes.writeUInt16LE(2, 4)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 120)), 120)
  fs.writeFileSync(path, bytes)
  t.throws(() => log.read(), { code: 'NEWER_VERSION' })
})

test('records as large as can be, across the reader’s window', (t) => {
  const log = new Log(t)
  const largest = logRecordBytesMax - logRecordHeaderBytes - sealBytes
  const sizes = [largest, 0, 1, largest, 700_000, 700_001, 3]
  sizes.forEach((size, index) => log.append('disk', Buffer.alloc(size, index + 1)))
  const read = log.read()
  t.deepEqual(read.map((text) => text.length), sizes)
  read.forEach((text, index) => t.true(text === '' || text.at(-1) === String.fromCharCode(index + 1)))
})

test('the writer reads back what it wrote until it is retired', (t) => {
  const log = new Log(t)
  const position = log.append('disk', 'hello')
  t.is(log.writer.rotate(), 1)
  const target = Buffer.alloc(5)
  log.writer.read('disk', 1, target, position)
  t.is(target.toString(), 'hello')
  t.is(log.writer.unretiredBytes, logRecordHeaderBytes + 5 + sealBytes)
  log.writer.retire(1)
  t.is(log.writer.unretiredBytes, 0)
  t.throws(() => log.writer.read('disk', 1, target, position), { code: 'DAMAGED' })
})

test('a write that failed leaves no record and no gap', (t) => {
  const failing = new FailingEnv()
  const log = new Log(t, failing.env)
  log.append('disk', 'first')
  failing.failing = { operation: 'write', after: 0 }
  t.throws(() => log.append('disk', 'a longer one that fails'), { instanceOf: HoldfastError })
  log.append('memory', 'second')
  log.append('disk', 'third')
  t.deepEqual(log.read({ isWhole: true }), ['first', 'second', 'third'])
})

test('a file whose header could not be written is begun again', (t) => {
  const failing = new FailingEnv()
  const log = new Log(t, failing.env)
  failing.failing = { operation: 'write', after: 0 }
  t.throws(() => log.append('disk', 'lost'), { instanceOf: HoldfastError })
  log.append('disk', 'first')
  t.deepEqual(log.read({ isWhole: true }), ['first'])
})

test('a sealed record that was changed to fit its checksum is damage, not a torn tail', (t) => {
  const log = new Log(t, env, 10, testKeys)
  log.append('disk', 'first')
  log.append('disk', 'second')
  const path = log.path(1, 'disk')
  const bytes = fs.readFileSync(path)
  t.false(bytes.includes('first'))
  const lengthBytes = logRecordHeaderBytes + 'first'.length + 16
  const at = segmentHeaderBytes
  // The inode, then the payload, then a record that stands in for another.
  for (const place of [40, logRecordHeaderBytes + 2, lengthBytes - 1]) {
    const changed = Buffer.from(bytes)
    changed[at + place] ^= 1
    const rest = changed.subarray(at + logRecordHeaderBytes, at + lengthBytes)
    writeRecordChecksum(changed, at, [rest])
    fs.writeFileSync(path, changed)
    t.throws(() => log.read(), { code: 'DAMAGED' }, `byte ${place}`)
  }
  fs.writeFileSync(path, bytes)
  t.deepEqual(log.read(), ['first', 'second'])
})

test('a write that failed, and what takes its place, are sealed with nonces of their own', (t) => {
  let fails = false
  const writes: Buffer[] = []
  const failing = {
    ...env,
    open: (...args: Parameters<typeof env.open>) => {
      const file = env.open(...args)
      const writev = file.writev.bind(file)
      file.writev = (sources, position) => {
        writes.push(Buffer.concat(sources))
        if (fails) throw new HoldfastError('NO_SPACE', 'no space')
        writev(sources, position)
      }
      return file
    },
  }
  const log = new Log(t, failing, 10, testKeys)
  log.append('disk', 'one')
  fails = true
  t.throws(() => log.append('disk', 'the same length'), { code: 'NO_SPACE' })
  fails = false
  log.append('disk', 'the same length')
  t.deepEqual(log.read(), ['one', 'the same length'])
  const [, failed, written] = writes
  t.is(failed.length, written.length)
  t.notDeepEqual(failed.subarray(logRecordHeaderBytes), written.subarray(logRecordHeaderBytes))
  const target = Buffer.alloc(4)
  log.writer.read('disk', 1, target, segmentHeaderBytes + logRecordHeaderBytes + 3 + 16 + logRecordHeaderBytes + 4)
  t.is(target.toString(), 'same')
})
