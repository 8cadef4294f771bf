/** What a commit costs, counted in chunks put and read: it depends on the changes, not on the image. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { digest } from '../../src/chunk/digest.ts'
import { systemEnv } from '../../src/env/system.ts'
import { encodeInode } from '../../src/format/inode.ts'
import { logRecordHeaderBytes, recordType } from '../../src/format/log.ts'
import { encodeManifest } from '../../src/format/manifest.ts'
import type { Manifest } from '../../src/format/manifest.ts'
import { applyChanges, storeManifest } from '../../src/image/apply.ts'
import { Changes } from '../../src/image/changes.ts'
import { Head } from '../../src/image/head.ts'
import { seekData } from '../../src/image/head-data.ts'
import { ImageLayout } from '../../src/image/layout.ts'
import { LogReader } from '../../src/image/log-reader.ts'
import { LogWriter } from '../../src/image/log-writer.ts'
import { build, NodeStore } from '../../src/image/tree/index.ts'
import { chunkBytes } from '../../src/limits.ts'
import type { ChunkId, ChunkKind, ChunkStore, PutResult } from '../../src/store/chunks.ts'
import { MemoryChunks } from '../tree/memory-chunks.ts'

/** Nodes in memory; data is counted and forgotten, and what is asked for is all sevens. */
class CountingChunks implements ChunkStore {
  readonly #nodes = new MemoryChunks()
  readonly #sevens = Buffer.alloc(chunkBytes, 7)
  readonly dataIds = new Set<string>()
  nodePuts = 0
  dataPuts = 0
  nodeReads = 0
  dataReads = 0

  put(plain: Uint8Array, kind: ChunkKind): PutResult {
    if (kind === 'node') {
      this.nodePuts += 1
      return this.#nodes.put(plain, kind)
    }
    this.dataPuts += 1
    return { id: digest(plain), storedBytes: plain.length }
  }

  read(id: ChunkId): Buffer {
    if (this.#nodes.has(id)) {
      this.nodeReads += 1
      return this.#nodes.read(id)
    }
    this.dataReads += 1
    return this.#sevens
  }

  has(id: ChunkId): boolean {
    return this.#nodes.has(id)
  }

  async sync(): Promise<void> {}

  reset(): void {
    this.nodePuts = this.dataPuts = this.nodeReads = this.dataReads = 0
  }
}

/** A file of 64 GiB with so many chunks, evenly spread, and a thousand other inodes. */
function bigImage(store: CountingChunks, chunks: number): Manifest {
  const nodes = new NodeStore(store)
  const step = 2 ** 20 / chunks
  const data = Array.from({ length: chunks }, (_, index): [number, Buffer] => [index * step, digest(Buffer.from(String(index)))])
  const inode = (number: number): [number, Buffer] => [number, encodeInode({
    mode: 0o100644, uid: 0, gid: 0, linkCount: 1, deviceNumber: 0, size: number === 2 ? 2n ** 36n : 0n, accessedNs: 0n,
    modifiedNs: 0n, changedNs: 0n, isMemory: false, isLinkable: false, target: Buffer.alloc(0), attributesRoot: null,
    dataRoot: number === 2 ? build(nodes, data) : null,
  })]
  const inodes = Array.from({ length: 1000 }, (_, index) => inode(index + 1))
  return { inodes: build(nodes, inodes), nextInode: 1001, inodeCount: 1000, orphans: [] }
}

function temporaryLayout(t: ExecutionContext): ImageLayout {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-cost-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  const layout = new ImageLayout(directory, 'image')
  fs.mkdirSync(layout.log, { recursive: true })
  return layout
}

const identity = { domainId: Buffer.alloc(16), imageId: Buffer.alloc(16, 1) }
const env = systemEnv()

/** Writes a few bytes to so many chunks of the file and commits them. */
async function commit(
  t: ExecutionContext, store: CountingChunks, manifest: Manifest, chunks: number, changes: number,
): Promise<void> {
  const layout = temporaryLayout(t)
  using writer = new LogWriter(env, layout, identity, { segment: 1, sequence: 1, connection: 0 })
  for (let index = 0; index < changes; index += 1) {
    const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), Buffer.from(`change ${index}`)])
    const chunk = (index * 7919) % chunks * (2 ** 20 / chunks)
    const at = { type: recordType.write, unique: 0n, inode: 2, chunk, within: 5, timeNs: 1n }
    writer.append('disk', at, message, logRecordHeaderBytes, message.length - logRecordHeaderBytes)
  }
  using log = new LogReader(env, layout, identity.imageId, null)
  const nodes = new NodeStore(store)
  store.reset()
  const found = new Changes(nodes, manifest, { sequence: 1, lastRequest: { connection: 0, unique: 0n } })
  for (const record of log.records([1], { sequence: 1, isWhole: true })) found.add(record)
  const after = await applyChanges({ store, nodes, log }, manifest, found)
  storeManifest(store, after, null)
}

test('a commit costs what was changed, whatever the size of the image', async (t) => {
  const counts: string[] = []
  for (const chunks of [2 ** 14, 2 ** 16]) {
    const store = new CountingChunks()
    const manifest = bigImage(store, chunks)
    for (const changes of [1, 100, 10_000]) {
      await commit(t, store, manifest, chunks, changes)
      const { dataPuts, dataReads, nodePuts, nodeReads } = store
      t.is(dataPuts, changes)
      t.is(dataReads, changes)
      // Above each changed leaf lie at most two nodes of its own; then inodes and manifest.
      t.true(nodePuts <= 3 * changes + 4, `${nodePuts} nodes put`)
      t.true(nodeReads <= 3 * changes + 4, `${nodeReads} nodes read`)
      counts.push(`${chunks} chunks, ${changes} changes: ${nodePuts} nodes put, ${nodeReads} read, ${dataReads} chunks read`)
    }
  }
  t.log(counts.join('\n'))
})

test('the end of a run of data is found a leaf at a time, the next data at once', (t) => {
  const store = new CountingChunks()
  const nodes = new NodeStore(store)
  const run = 2 ** 14
  const id = digest(Buffer.from('x'))
  const data = Array.from({ length: run }, (_, index): [number, Buffer] => [index, id])
  const inode = encodeInode({
    mode: 0o100644, uid: 0, gid: 0, linkCount: 1, deviceNumber: 0, size: 2n ** 36n, accessedNs: 0n, modifiedNs: 0n,
    changedNs: 0n, isMemory: false, isLinkable: false, target: Buffer.alloc(0), attributesRoot: null,
    dataRoot: build(nodes, [...data, [2 ** 20 - 1, id]]),
  })
  const manifest = { inodes: build(nodes, [[2, inode]]), nextInode: 3, inodeCount: 1, orphans: [] }
  const root = store.put(encodeManifest(manifest), 'node').id
  const layout = temporaryLayout(t)
  using log = new LogWriter(env, layout, identity, { segment: 1, sequence: 1, connection: 0 })
  const head = new Head(env, store, log, {
    image: 'image', directory: layout.directory, manifest: root.toString('hex'), segment: 1, sequence: 1, nextInode: 3,
    imageId: '', domainId: '', takeover: null, notices: [],
  }, { rotated: () => undefined, syncDue: () => undefined, failed: () => undefined })
  const state = head.inode(2)!
  store.reset()
  t.is(seekData(head, state, { chunk: 0, within: 0 }, 'hole'), BigInt(run) * BigInt(chunkBytes))
  const holeReads = store.nodeReads
  t.true(holeReads <= run / 128 + 5, `${holeReads} nodes read`)
  store.reset()
  t.is(seekData(head, state, { chunk: run, within: 0 }, 'data'), BigInt(2 ** 20 - 1) * BigInt(chunkBytes))
  t.true(store.nodeReads <= 4, `${store.nodeReads} nodes read`)
  t.is(store.dataReads, 0)
})
