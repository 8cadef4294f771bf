/** Between an inode of the head and what a transport shows of it. */
import type { Attributes, Entry, Timestamp } from '../../fuse/index.ts'
import { allocatedChunks } from '../image/allocation.ts'
import type { Head } from '../image/head.ts'
import type { InodeState } from '../image/inode-state.ts'
import { chunkBytes } from '../limits.ts'

const nsPerSecond = 1_000_000_000n
const sectorBytes = 512
const directoryBytes = 4096

export function attributesOf(head: Head, state: InodeState): Attributes {
  const isDirectory = state.isDirectory
  return {
    inode: state.number,
    sizeChunk: isDirectory ? 0 : state.sizeChunk,
    sizeWithin: isDirectory ? directoryBytes : state.sizeWithin,
    blockCount: state.isRegular ? sectorsOf(head, state) : 0,
    accessed: timestamp(state.accessedNs),
    modified: timestamp(state.modifiedNs),
    changed: timestamp(state.changedNs),
    mode: state.mode,
    linkCount: state.linkCount,
    uid: state.uid,
    gid: state.gid,
    deviceNumber: state.deviceNumber,
    ioBytes: chunkBytes,
  }
}

export function entryOf(head: Head, state: InodeState): Entry {
  return { node: state.number, attributes: attributesOf(head, state) }
}

export function nanoseconds(time: Timestamp): bigint {
  return BigInt(time.seconds) * nsPerSecond + BigInt(time.nanoseconds)
}

/** The last chunk is counted up to the end of the file only. */
function sectorsOf(head: Head, state: InodeState): number {
  const size = state.sizeChunk * (chunkBytes / sectorBytes) + Math.ceil(state.sizeWithin / sectorBytes)
  return Math.min(allocatedChunks(head, state) * (chunkBytes / sectorBytes), size)
}

function timestamp(ns: bigint): Timestamp {
  const rest = ns % nsPerSecond
  const below = rest < 0n ? rest + nsPerSecond : rest
  return { seconds: Number((ns - below) / nsPerSecond), nanoseconds: Number(below) }
}
