/** Opening a store's chunks: by its one writer, or by any thread of that process for reading. */
import type { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { Secret } from '../crypto/secret.ts'
import type { Env } from '../env/env.ts'
import { FileLock } from '../env/lock.ts'
import { requireKind } from '../env/stored.ts'
import { ensureDirectory, removeTree } from '../env/tree.ts'
import { isCode } from '../errors.ts'
import { type StoreIdentity, mendIdentity, readIdentity } from './identity.ts'
import { keysOf } from './keys.ts'
import { distrustIndex, markIndex, unmarkIndex } from './index-mark.ts'
import { StoreLayout } from './layout.ts'
import { LocalChunkStore } from './local-chunk-store.ts'
import { PackFiles } from './pack-files.ts'
import { PackIndex } from './pack-index.ts'
import { PackSet } from './pack-set.ts'
import type { LongCall } from './progress.ts'
import type { RecordSource } from './record-source.ts'
import { recoverPacks } from './recovery.ts'
import { ThreadReader } from './thread-reader.ts'

export interface OpenOptions extends LongCall {
  /** The caller holds a FileLock on the store's `lock` already. */
  readonly lockHeld?: boolean
  /** Opens the keys of an encrypted store. */
  readonly secret?: Secret
  /** Throws the index away and makes it again from the packs. */
  readonly rebuildIndex?: boolean
  /** Packs are closed at this size; for tests, which want many small ones. At least twice the largest record. */
  readonly packBytesMax?: number
}

/**
 * Takes the lock, brings index and packs into step (recovery.ts), and rebuilds the index where it is
 * missing, damaged or another store's; the progress says so.
 * Errors: NOT_FOUND, BAD_FORMAT, NEWER_VERSION, DAMAGED (no store, or none for this version), KEY_NEEDED, KEY_WRONG,
 * LOCKED, IO, ABORTED.
 */
export async function openChunkStore(env: Env, directory: string, options: OpenOptions = {}): Promise<LocalChunkStore> {
  const layout = new StoreLayout(directory)
  const identity = readIdentity(env, layout)
  const lock = options.lockHeld ? undefined : FileLock.take(env, layout.lock)
  try {
    mendIdentity(env, layout)
    const keys = keysOf(env, layout, identity, options.secret)
    return await openLocked({ env, layout, identity, keys, lock }, options)
  } catch (error) {
    lock?.close()
    throw error
  }
}

/** Makes the index again from the packs alone. Errors: as openChunkStore. */
export async function rebuildIndex(env: Env, directory: string, options: OpenOptions = {}): Promise<void> {
  await using store = await openChunkStore(env, directory, { ...options, rebuildIndex: true })
  store.stats()
}

/**
 * A reader of its own for the calling thread. It takes no lock, and sees what the writer's syncs published,
 * also those that come later. The writer is in the same process, or there is none. What is not here is asked of
 * `source`.
 * Errors: NOT_FOUND, BAD_FORMAT, NEWER_VERSION, KEY_NEEDED, KEY_WRONG, LOCKED (another process has the index), DAMAGED,
 * IO.
 */
export async function openChunkReader(
  env: Env, directory: string, source?: RecordSource, secret?: Secret,
): Promise<ThreadReader> {
  const layout = new StoreLayout(directory)
  const keys = keysOf(env, layout, readIdentity(env, layout), secret)
  const files = new PackFiles(env, layout, keys)
  return new ThreadReader(files, await openMarking(env, layout), source)
}

interface Opening {
  readonly env: Env
  readonly layout: StoreLayout
  readonly identity: StoreIdentity
  readonly keys: DomainKeys | null
  readonly lock: FileLock | undefined
}

async function openLocked(opening: Opening, options: OpenOptions): Promise<LocalChunkStore> {
  const { env, layout } = opening
  const { packs, temporary, index, quarantine } = layout
  for (const path of [packs, temporary, index, quarantine]) requireKind(env, path, 'directory')
  for (const path of [layout.packs, layout.temporary]) ensureDirectory(env, path)
  for (const name of env.readdir(layout.temporary)) removeTree(env, `${layout.temporary}/${name}`)
  // LevelDB ends the process over some damage: an index whose opening did not end is not opened again, nor is one that
  // turned out to be damaged later.
  const isSuspect = env.exists(layout.indexOpening)
  if (!isSuspect) markIndex(env, layout)
  let store: LocalChunkStore | undefined
  try {
    store = await openOrRebuild(opening, { ...options, rebuildIndex: options.rebuildIndex === true || isSuspect })
  } finally {
    // What was suspect before stays so until it was made anew.
    if (store !== undefined || !isSuspect) await unmark(opening, store)
  }
  return store
}

/** A store whose mark cannot be taken away is not handed out. Errors: IO. */
async function unmark({ env, layout }: Opening, store: LocalChunkStore | undefined): Promise<void> {
  try {
    unmarkIndex(env, layout)
  } catch (error) {
    await store?.close()
    throw error
  }
}

async function openOrRebuild(opening: Opening, options: OpenOptions): Promise<LocalChunkStore> {
  try {
    return await openWith(opening, options)
  } catch (error) {
    // An index that opens may still turn out to be damaged when it is read.
    if (!isCode(error, 'DAMAGED') || options.rebuildIndex) throw error
    return openWith(opening, { ...options, rebuildIndex: true })
  }
}

async function openWith(opening: Opening, options: OpenOptions): Promise<LocalChunkStore> {
  const { env, layout, identity, keys, lock } = opening
  const files = new PackFiles(env, layout, keys)
  const { index, rebuilding } = await openIndex(env, layout, identity, options)
  try {
    const recovered = await recoverPacks({ env, layout, identity, files, index, rebuilding, call: options })
    if (rebuilding) await index.claim(identity.storeId)
    const packs = new PackSet(env, layout, identity, files, recovered, options.packBytesMax)
    return new LocalChunkStore({ env, layout, identity, lock, packs, index, unsettledBytes: recovered.unsettledBytes })
  } catch (error) {
    files.close()
    await index.close()
    throw error
  }
}

interface OpenedIndex {
  readonly index: PackIndex
  readonly rebuilding: boolean
}

async function openIndex(
  env: Env, layout: StoreLayout, identity: StoreIdentity, options: OpenOptions,
): Promise<OpenedIndex> {
  // LevelDB would make it, and its files, open to others.
  ensureDirectory(env, layout.index)
  if (options.rebuildIndex !== true) {
    const index = await openUndamaged(env, layout)
    if (index !== undefined && isOurs(index, identity.storeId)) return { index, rebuilding: false }
    await index?.close()
  }
  removeTree(env, layout.index)
  ensureDirectory(env, layout.index)
  return { index: await openMarking(env, layout), rebuilding: true }
}

/** One that cannot say so is closed and made again: another one must not be opened beside it. */
function isOurs(index: PackIndex, storeId: Buffer): boolean {
  try {
    return index.belongsTo(storeId)
  } catch (error) {
    if (!isCode(error, 'DAMAGED')) throw error
    return false
  }
}

function openMarking(env: Env, layout: StoreLayout): Promise<PackIndex> {
  return PackIndex.open(layout.index, () => distrustIndex(env, layout))
}

async function openUndamaged(env: Env, layout: StoreLayout): Promise<PackIndex | undefined> {
  try {
    return await openMarking(env, layout)
  } catch (error) {
    if (isCode(error, 'DAMAGED')) return undefined
    throw error
  }
}
