/**
 * Every size, count and time of the store in one place, each with its reason. Relations between them are
 * asserted at the end, so that a change that breaks one is found at start.
 */
import { assert } from './errors.ts'

export const KIB = 1024
export const MIB = 1024 * KIB

/** A chunk: identity, dedup and transfer unit. Smaller ones cost index, larger ones cost copy-up and deltas. */
export const chunkBytes = 64 * KIB
/** BLAKE3-256. */
export const digestBytes = 32
/** Of a store's, a domain's, a pack's or an image's id. */
export const identityBytes = 16
/** What a manifest leaf's values may weigh before it is split: 128 chunk ids, one page of a dense file. */
export const nodeWeightMax = 4 * KIB
/** Children of an inner manifest node: 7 bits of the key a level. */
export const nodeFanOut = 128
/** A node as encoded, header and keys included: one leaf of maximal values (names of 255 bytes) fits. */
export const nodeBytesMax = 64 * KIB
/** Keys of manifest trees are safe integers: chunk numbers (< 2^47), inode numbers, name hashes (52 bits). */
export const treeKeyMax = 2 ** 52 - 1

/** A delta's chain: 1, 2, 3 deep stored 503, 313, 284 KB an epoch; deeper gains little and reads slower. */
export const deltaDepthMax = 3
/** A delta above this share of the chunk is tried against LZ4 of the whole. */
export const deltaPoorBytes = chunkBytes / 4

/** One HDFS block. */
export const packBytesMax = 128 * MIB
/** A record's stored form is never larger than its plain form plus its header. */
export const recordPlainBytesMax = chunkBytes

/**
 * Records gathered before they are written to the open pack: big writes, and little to do again for a commit that
 * goes on where a killed one ended.
 */
export const packBufferBytes = 5 * 64 * KIB
/** Records put but not yet in the index; one more put publishes them itself. About 10 MB of memory. */
export const pendingRecordsMax = 32 * KIB
/** How long that put may wait for the index before the store counts as failed. */
export const publishTimeoutMs = 60_000
/**
 * Bytes put after which the index is made durable so far: what an open after a crash reads again, 1 to 2 ms a MiB of a
 * takeover's gap.
 */
export const settleBytes = 8 * MIB
/** Bytes below which closing leaves that to the next open, which reads them again in a few milliseconds. */
export const settleOnCloseBytes = MIB
/** Pack descriptors that one thread keeps open. */
export const packFilesOpenMax = 64
/** Packs are scanned through a window of this size: many maximal records, little memory. */
export const scanWindowBytes = 2 * MIB
/** What must stay free for the index, which cannot say beforehand what it needs. */
export const storeFreeBytesMin = 2 * MIB
/** What puts leave free beyond that, so that a collection can move what stays of a pack and go on with its room. */
export const collectionReserveBytes = 4 * MIB
/**
 * V8 lets a heap grow to some three times of what lives in it before it looks for garbage; here that is mostly records
 * on their way, so that it took 100 MB more, and no less time.
 */
export const heapGrowthPercent = 30
/** LevelDB's own block cache and write buffer. */
export const indexCacheBytes = 16 * MIB
export const indexWriteBufferBytes = 4 * MIB
/**
 * Tables (2 MiB each) of the index that are mapped at once: all of three million records, 200 GB of different data.
 * Beyond that a lookup takes twice as long, and memory does not grow.
 */
export const indexTablesMappedMax = 64
/** Records that are sorted in memory while an index is made again: 54 bytes each. */
export const indexLoadRecordsMax = MIB
/** That LevelDB takes off the number of files that it may have open. */
export const indexOtherFilesOpen = 10
/** Packs that a collection empties and removes together: one sync and one pause of the index for all of them. */
export const collectionGroupPacksMax = 32
/** What may have to be written before the first of them goes. */
export const collectionGroupBytesMax = packBytesMax
/** Records known to be bad that a thread remembers, so that the next put heals them. */
export const damagedRecordsMax = 4 * KIB
/** Secrets that open one domain. Each passphrase that is tried costs a third of a second. */
export const keySlotsMax = 16
/** `keys.json`: slots and the ring. */
export const keysFileBytesMax = 64 * KIB
export const passphraseBytesMax = 1024
/** A key file is not stretched: it must hold as much chance as a key. */
export const keyFileBytesMin = 32
export const keyFileBytesMax = 64 * KIB
/** `image.json`. */
export const imageFileBytesMax = 64 * KIB
/** `store.json`. */
export const identityFileBytesMax = 4 * KIB
/** Names of files and records in one verification's report; the rest is counted. */
export const damageReportsMax = 1000

/** Manifest nodes that a check remembers as sound, about 100 bytes each; then it begins anew. */
export const checkedNodesMax = 1024 * KIB
/** Chunks that it remembers to be there, 16 bytes each. */
export const recentIdsMax = 1024 * KIB
/** A segment's file is read whole to look at it; rotation keeps it far below this. */
export const segmentReadBytesMax = 256 * MIB
/** Faults in a check's report, files in a fault, ranges of a file. */
export const checkFaultsMax = 1000
export const affectedFilesMax = 100
export const affectedRangesMax = 100
/** Looks at a store while it is repaired: each may show one more level of trees, of which there are fewer. */
export const repairRoundsMax = 24
/** Damaged records that a check keeps by their ids, about 300 bytes each, to tell what they cost and mend them. */
export const damagedIdsMax = 256 * KIB

/** A name in a directory, as POSIX has it. */
export const nameBytesMax = 255
/** A symbolic link's target: PATH_MAX. */
export const symlinkBytesMax = 4095
/** One extended attribute's value (Linux XATTR_SIZE_MAX), and all of one inode's names and values together. */
export const xattrValueBytesMax = 64 * KIB
export const xattrTotalBytesMax = 64 * KIB
/** A file's largest size: off_t. */
export const fileBytesMax = 2n ** 63n - 1n
export const linkCountMax = 65_000

/** An image's or a replica's name: fits a file name with our suffixes. */
export const imageNameBytesMax = 128
export const noteBytesMax = 4 * KIB

/** So much of the log is committed behind at once, so that recovery replays a bounded log. */
export const segmentBytesMax = 64 * MIB
/** Written but not yet committed bytes of an image; ordinary writes wait above it. */
export const logBytesMax = 1024 * MIB
/** The same for its records: who takes over without having read ahead reads each one's header first, 3 us a record. */
export const logRecordsMax = 64 * KIB
/** So small writes are committed behind as early as large ones. */
export const segmentRecordsMax = 16 * KIB
/**
 * A segment ends at this size, or at so many records: what a server that takes over commits first, so that it gets on
 * however soon it is killed itself. Each page of a guest's memory may lie in a chunk of its own.
 */
export const sliceBytesMax = 16 * MIB
export const sliceRecordsMax = 2 * KIB
/** Mounts whose logs the process that stands by reads ahead: each has a thread of its own, of some 30 MB. */
export const followedMountsMax = 4
/** A lane is synced in the background every so many bytes, so that dirty pages do not throttle our writes. */
export const laneSyncBytes = 8 * MIB
/** One request's payload, as negotiated with the kernel, plus headers. */
export const logRecordBytesMax = MIB + 64 * KIB

/** What is kept free for the collector and for commits when ordinary writes already get ENOSPC. */
export const reserveBytes = 64 * MIB

/**
 * Decoded chunks that one reading thread keeps: the kernel's page cache keeps what is read again. What leaves it is old
 * garbage, of which the runtime lets 64 MB gather.
 */
export const chunkCacheBytes = 8 * MIB
/** Manifest nodes. */
export const nodeCacheBytes = 8 * MIB
/** Records from replicas that a reading thread holds until the writer has them: more than one request needs. */
export const overlayBytes = 64 * MIB
/** Chunks asked of replicas at once: with what they build on they fit in memory. */
export const fetchedAtOnceMax = 256
/** The writer's: the newest version and the deepest base of 500 chunks, twice what a busy epoch dirties. */
export const writerChunkCacheBytes = 64 * MIB

/** An epoch's record: fixed part, texts, machine description. */
export const epochRecordBytesMax = 4 * MIB
/** Records of epochs in one object of a replica: an hour of ten a second is merged into a few dozen of them. */
export const epochBatchRecordsMax = 1000
export const epochBatchBytesMax = 8 * MIB
/** Packs that a batch names: 8 TiB of them. */
export const epochBatchPacksMax = 65_536
/** What their names take at most, the odd one of them uploaded again under a longer name. */
export const epochBatchPacksBytesMax = 2 * MIB
/** Records of packs that one index run names: 23 MB, held in memory while runs are merged. */
export const indexRunEntriesMax = 512 * KIB
/** A machine's device state (q35 has 0.9 MB); memory that lands in it by mistake is found here. */
export const machineStateBytesMax = 64 * MIB
/** A machine's description as JSON: what is left of a record besides names and note, and far more than it takes. */
export const machineFactsBytesMax = 2 * MIB

/** A prefetch list: the records of 1 GiB of memory, and a working set in words. */
export const prefetchRecordsMax = 64 * KIB
export const prefetchListBytesMax = 16 * MIB

assert(nodeWeightMax === nodeFanOut * digestBytes, 'a dense leaf holds one inner node’s worth of chunk ids')
assert(packBytesMax > 2 * MIB + logRecordBytesMax, 'a pack holds many records')
assert(packBufferBytes > 4 * recordPlainBytesMax, 'a pack buffer gathers several records')
assert(scanWindowBytes > 4 * recordPlainBytesMax, 'a scan window holds several records')
assert(segmentBytesMax * 2 <= logBytesMax, 'one segment is written while another is committed')
assert(segmentRecordsMax * 2 <= logRecordsMax, 'one segment is written while another is committed')
assert(segmentBytesMax > 8 * logRecordBytesMax, 'a segment holds many records')
assert(machineFactsBytesMax + noteBytesMax < epochRecordBytesMax / 2 + MIB, 'an epoch record holds its largest parts')
const batchRoomBytes = epochBatchBytesMax - epochBatchPacksBytesMax - 4 * KIB
assert(epochRecordBytesMax <= batchRoomBytes, 'a batch holds the largest record')
assert(xattrTotalBytesMax <= recordPlainBytesMax, 'all attributes of an inode fit one chunk')
