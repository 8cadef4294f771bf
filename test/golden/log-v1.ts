/** What `log-v1.bin` holds: a segment of the disk lane with a record of each type. */
import { Buffer } from 'node:buffer'
import { encodeInode } from '../../src/format/inode.ts'
import { encodeEffects } from '../../src/format/effects.ts'
import type { Effect } from '../../src/format/effects.ts'
import { logRecordHeaderBytes, recordType } from '../../src/format/log.ts'
import type { LogRecordHeader, RecordType, SegmentHeader } from '../../src/format/log.ts'

export const goldenSegment: SegmentHeader = {
  lane: 'disk', domainId: Buffer.alloc(16, 0xd0), keyId: 0, imageId: Buffer.alloc(16, 0x1a), nonce: 0xdeadbeef, segment: 7,
  firstSequence: 1000, previousSequence: 998, salt: Buffer.alloc(16),
}

export const goldenInode = encodeInode({
  mode: 0o100640, uid: 1000, gid: 100, linkCount: 1, deviceNumber: 0, size: 70_000n, accessedNs: 1n, modifiedNs: 2n,
  changedNs: 3n, isMemory: false, isLinkable: false, target: Buffer.alloc(0), dataRoot: null, attributesRoot: null,
})

export const goldenEffects: Effect[] = [
  { kind: 'inode', inode: 9, record: goldenInode },
  { kind: 'attributes', inode: 9, block: Buffer.from('6d58010001000000' + '0101000000' + '6162', 'hex') },
  { kind: 'name', parent: 1, name: Buffer.from('new name'), inode: 9, type: 8 },
  { kind: 'nameRemoved', parent: 1, name: Buffer.from([0xff, 0xfe]) },
  { kind: 'inodeRemoved', inode: 2 ** 40 },
]

const zeroLength = Buffer.alloc(8)
zeroLength.writeBigUInt64LE(2n ** 40n)

export const goldenRecords: { header: LogRecordHeader; payload: Buffer }[] = [
  record(1000, recordType.effects, { inode: 0, chunk: 0, within: 0 }, encodeEffects(goldenEffects)),
  record(1001, recordType.write, { inode: 9, chunk: 1, within: 4464 }, Buffer.from('the bytes written')),
  record(1003, recordType.zero, { inode: 9, chunk: 3, within: 512 }, zeroLength),
  record(1004, recordType.truncate, { inode: 9, chunk: 2 ** 40, within: 65_535 }, Buffer.alloc(0)),
]

function record(
  sequence: number, type: RecordType, at: { inode: number; chunk: number; within: number }, payload: Buffer,
): { header: LogRecordHeader; payload: Buffer } {
  const header = {
    type, counter: 0, lengthBytes: logRecordHeaderBytes + payload.length, nonce: goldenSegment.nonce, connection: 3, sequence,
    unique: BigInt(sequence) * 2n, ...at, timeNs: 1_700_000_000_123_456_789n,
  }
  return { header, payload }
}
