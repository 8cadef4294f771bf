/**
 * A store with many epochs of one large file, made fast: its data chunks are 512 bytes each and are written into packs
 * past the writer, as a collection of garbage never looks into them; manifests and records are the real ones.
 */
import { blake3 } from '@napi-rs/blake-hash'
import { Buffer } from 'node:buffer'
import type { Env } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { encodeInode } from '../../src/format/inode.ts'
import { decodeManifest } from '../../src/format/manifest.ts'
import { FooterTable } from '../../src/format/pack-footer.ts'
import { codecRaw, kindNode } from '../../src/format/pack-record.ts'
import { storeManifest } from '../../src/image/apply.ts'
import { ImageFiles } from '../../src/image/image-files.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { build } from '../../src/image/tree/build.ts'
import { NodeStore, update } from '../../src/image/tree/index.ts'
import { initStore, readIdentity } from '../../src/store/identity.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { OpenPack } from '../../src/store/open-pack.ts'
import { openChunkStore } from '../../src/store/open.ts'

export interface SyntheticScale {
  readonly epochs: number
  /** Of all epochs together. */
  readonly chunks: number
}

/** Chunks that change together. */
const runChunks = 30
const syncEvery = 200
const dataBytes = 512

export async function makeSyntheticStore(directory: string, scale: SyntheticScale, note: (text: string) => void): Promise<void> {
  const env = unsynced(systemEnv())
  initStore(env, directory)
  {
    await using engine = await openLocalEngine(directory, { env })
    await engine.createImage({ image: 'big', base: [] })
  }
  const changed = Math.floor(scale.chunks / 2 / scale.epochs)
  const baseChunks = scale.chunks - changed * scale.epochs
  note(`writing ${scale.chunks} chunks`)
  writePacks(env, directory, scale.chunks)
  note('indexing them')
  await using store = await openChunkStore(env, directory, { rebuildIndex: true })
  const nodes = new NodeStore(store)
  const files = new ImageFiles(env, directory, 'big', store.keys)
  const first = files.epoch(0)
  const empty = decodeManifest(store.read(first.manifest))
  let next = 0
  const ids = (count: number): Buffer[] => Array.from({ length: count }, () => idOf(next++))
  let root = build(nodes, ids(baseChunks).map((id, at): [number, Buffer] => [at, id]))
  let manifest = first.manifest
  for (let number = 1; number <= scale.epochs; number++) {
    root = update(nodes, root, changesOf(number, baseChunks, ids(changed)))
    const inode = encodeInode({
      mode: 0o100644, uid: 0, gid: 0, linkCount: 1, deviceNumber: 0, size: BigInt(baseChunks) * 65536n, accessedNs: 0n,
      modifiedNs: BigInt(number), changedNs: 0n, isMemory: false, isLinkable: false,
      target: Buffer.alloc(0), dataRoot: root, attributesRoot: null,
    })
    const inodes = update(nodes, decodeManifest(store.read(manifest)).inodes, [[2, inode]])
    manifest = storeManifest(store, { ...empty, inodes, nextInode: 3, inodeCount: 2 }, manifest)
    if (number % syncEvery === 0 || number === scale.epochs) await store.sync()
    const parent = { id: first.id, imageId: first.imageId, image: 'big', number: number - 1 }
    files.publishEpoch({ ...first, number, nextNumber: number + 1, parent, manifest, commit: number + 1, wallMs: first.wallMs + number * 5000 })
    if (number % 1000 === 0) note(`${number} epochs`)
  }
}

function changesOf(epoch: number, baseChunks: number, ids: readonly Buffer[]): [number, Buffer][] {
  const changes = new Map<number, Buffer>()
  const runs = Math.ceil(ids.length / runChunks)
  ids.forEach((id, at) => {
    const run = Math.floor(at / runChunks)
    const start = (run * Math.floor(baseChunks / runs) + epoch * 7919) % baseChunks
    changes.set((start + at % runChunks) % baseChunks, id)
  })
  return [...changes].sort(([a], [b]) => a - b)
}

function plainOf(number: number): Buffer {
  const plain = Buffer.alloc(dataBytes)
  plain.writeUInt32LE(number)
  return plain
}

function idOf(number: number): Buffer {
  return blake3(plainOf(number))
}

function writePacks(env: Env, directory: string, chunks: number): void {
  const layout = new StoreLayout(directory)
  const identity = readIdentity(env, layout)
  let pack: OpenPack | null = null
  let table = new FooterTable()
  const finish = (): void => {
    pack?.finish(table.encode(pack.totals))
    pack?.close()
    table = new FooterTable()
  }
  for (let number = 0, packs = 1; number < chunks; number++) {
    if (pack === null || !pack.hasRoom()) {
      finish()
      pack = OpenPack.create(env, layout, identity, ++packs, false, null)
    }
    if (pack.isBufferFull) pack.flush()
    const id = idOf(number)
    const place = pack.append({
      kind: kindNode, codec: codecRaw, depth: 0, baseDepth: 0, baseId: undefined, plainBytes: dataBytes, paidBytes: 0, id,
    }, plainOf(number))
    table.add(id, place)
  }
  finish()
}

/** What is thrown away after a crash need not survive one. */
function unsynced(env: Env): Env {
  return {
    ...env,
    open: (path, mode) => Object.assign(env.open(path, mode), { sync: () => undefined }),
    syncDirectory: () => undefined,
  }
}
