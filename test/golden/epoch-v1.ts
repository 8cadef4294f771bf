/** What `epoch-v1.bin` holds: an epoch with every part. */
import { Buffer } from 'node:buffer'
import type { EpochRecord } from '../../src/format/epoch.ts'

export const goldenEpoch: EpochRecord = {
  kind: 'epoch', domainId: Buffer.alloc(16, 0xd0), keyId: 0, imageId: Buffer.alloc(16, 0x1a), number: 12, nextNumber: 13,
  parent: { id: Buffer.alloc(32, 0xee), imageId: Buffer.alloc(16, 0x2b), image: 'the parent’s image', number: 11 },
  manifest: Buffer.alloc(32, 0x33), commit: 99, segment: 7, sequence: 1005,
  lastRequest: { connection: 3, unique: 2n ** 63n + 2008n }, wallMs: 1_700_000_000_123, writtenBytes: 2 ** 40 + 1,
  pauseUs: 3500, machine: { stateRoot: Buffer.alloc(32, 0x44), stateBytes: 57_584, facts: '{"cpus":1}' },
  image: 'vm1', note: 'before the upgrade: ünïcode',
}
