/** What the verbs on keys do: slots of an encrypted store, and new keys for all that it holds. */
import { Buffer } from 'node:buffer'
import {
  addSlot, changeSlot, dropOldKeys, isRenewing, keepOldKeys, removeSlot, renewKeys, unlock,
} from '../crypto/key-slots.ts'
import type { KeysFile } from '../crypto/keys-file.ts'
import { keyIdOfObject } from '../crypto/sealed-object.ts'
import type { Secret } from '../crypto/secret.ts'
import type { Env } from '../env/env.ts'
import { readWhole } from '../env/publish.ts'
import { HoldfastError } from '../errors.ts'
import { KIB, MIB } from '../limits.ts'
import { ReplicaRegistry } from '../replica/registry.ts'
import { readKeysFile, readSecret, writeKeysFile } from '../store/keys.ts'
import type { LocalChunkStore } from '../store/local-chunk-store.ts'
import { breathe } from '../store/progress.ts'
import type { Engine } from './engine.ts'
import { ImageFiles } from './image-files.ts'
import { listImages } from './image-list.ts'
import { readSources } from './source-list.ts'
import type { CallOptions, KeyReport, KeyRequest } from './types.ts'

/** Errors: UNSUPPORTED (the store is not encrypted), NOT_FOUND, USAGE, IO, NO_SPACE. */
export function changeKeys(
  env: Env, store: LocalChunkStore, secret: Secret | undefined, request: KeyRequest,
): KeyReport {
  const { layout, keys } = store
  if (keys === null) throw notEncrypted()
  const file = readKeysFile(env, layout)
  const write = (changed: KeysFile, slot: number | null): KeyReport => {
    writeKeysFile(env, layout, changed)
    return reportOf(changed, store, slot)
  }
  switch (request.action) {
    case 'list':
      return reportOf(file, store, null)
    case 'add': {
      const added = addSlot(env, file, keys.root, readSecret(env, request.secret))
      return write(added.file, added.slotId)
    }
    case 'remove':
      return write(removeSlot(file, request.slot), null)
    case 'change': {
      const slot = request.slot ?? ownSlot(file, secret)
      return write(changeSlot(env, file, keys.root, slot, readSecret(env, request.secret)), slot)
    }
  }
}

/** What their logs hold is in the packs then. Errors: BUSY (one is mounted), DAMAGED, NO_SPACE, IO. */
export async function commitHeads(
  engine: Pick<Engine, 'openHead' | 'closeHead'>, images: readonly string[],
): Promise<void> {
  for (const image of images) {
    await engine.openHead({ image })
    await engine.closeHead({ image })
  }
}

/**
 * Makes a new root and a new data key, unless that was done and what follows was not finished; with them only `secret`
 * opens the store. Errors: UNSUPPORTED, KEY_WRONG, USAGE (the secret itself is needed).
 */
export function beginRotation(env: Env, store: LocalChunkStore, secret: Secret | undefined): void {
  if (store.keys === null) throw notEncrypted()
  const file = readKeysFile(env, store.layout)
  if (secret === undefined || secret.kind === 'root') {
    throw new HoldfastError('USAGE', 'new keys need the passphrase or key file itself: stop the daemon (daemon ' +
      'stop), and run the command again')
  }
  const { keys, slotId } = unlock(file, secret)
  if (slotId === null || isRenewing(keys)) return
  writeKeysFile(env, store.layout, renewKeys(env, file, keys, secret, slotId))
}

/**
 * Seals again what was sealed with older keys, and gives those up; where there are or were replicas, which hold what
 * was sealed with them, they are kept. May be stopped at any point and begun again.
 * Errors: DAMAGED (some packs cannot be read as a whole: their keys are kept), ABORTED, NO_SPACE, IO.
 */
export async function finishRotation(env: Env, store: LocalChunkStore, options: CallOptions): Promise<KeyReport> {
  const { layout, keys } = store
  if (keys === null) throw notEncrypted()
  const kept = await sealRecordsAgain(store, options)
  for (const image of listImages(env, layout.directory)) {
    sealFilesAgain(env, new ImageFiles(env, layout.directory, image, keys), keys.keyId)
    await breathe(options)
  }
  if (kept.length > 0) {
    throw new HoldfastError('DAMAGED', `${kept.length} packs could not be sealed again, so their key is kept: run ` +
      'check --read-data --repair, then key rotate-master again', { info: { kept } })
  }
  const retire = hasReplicas(env, layout.directory) ? keepOldKeys : dropOldKeys
  const file = retire(env, readKeysFile(env, layout), keys)
  writeKeysFile(env, layout, file)
  return reportOf(file, store, null)
}

/** Also such as were removed: they may come back. */
function hasReplicas(env: Env, directory: string): boolean {
  return new ReplicaRegistry(env, directory).isThere() || readSources(env, directory).length > 0
}

/** Records of epochs, and working sets, which are the largest. */
const sealedFileBytesMax = 16 * MIB

/**
 * As if all packs with older keys were garbage of which every record stays: they are emptied into new ones, a few at a
 * time. Returns why some could not be.
 */
async function sealRecordsAgain(store: LocalChunkStore, options: CallOptions): Promise<string[]> {
  const old = store.packs().filter(({ number }) => store.sealKeyOf(number) !== store.keys?.keyId)
  using collection = store.beginCollection()
  for await (const { id } of store.records()) collection.live.keep(id)
  const rewrite = old.map(({ number, fileBytes }) => {
    const counts = { recordBytes: fileBytes, liveBytes: fileBytes, liveRecords: 1 }
    return { number, fileBytes, isOpen: false, isDamaged: false, ...counts }
  })
  const movedBytes = old.reduce((sum, { fileBytes }) => sum + fileBytes, 0)
  const { kept } = await collection.execute({ drop: [], rewrite, freedBytes: 0, movedBytes, unusedBytes: 0 }, options)
  return kept.map(({ pack, reason }) => `pack ${pack}: ${reason}`)
}

function sealFilesAgain(env: Env, files: ImageFiles, keyId: number): void {
  for (const { path, what } of files.sealedFiles()) {
    const head = Buffer.from(readWhole(env, path, KIB))
    if (keyIdOfObject(head) !== keyId) files.write(path, what, files.read(path, what, sealedFileBytesMax))
  }
}

function ownSlot(file: KeysFile, secret: Secret | undefined): number {
  const opened = secret === undefined || secret.kind === 'root' ? null : unlock(file, secret).slotId
  if (opened !== null) return opened
  if (file.slots.length === 1) return file.slots[0].id
  throw new HoldfastError('USAGE', 'say which key slot is to be changed: "holdfast key list" names them')
}

function reportOf(file: KeysFile, { keys }: LocalChunkStore, changed: number | null): KeyReport {
  const slots = file.slots.map(({ id, kind, createdMs }) => {
    return { slot: id, kind: kind === 'passphrase' ? 'passphrase' as const : 'key file' as const, createdMs }
  })
  return { slots, keyId: keys?.keyId ?? 0, changed }
}

function notEncrypted(): HoldfastError {
  return new HoldfastError('UNSUPPORTED', 'this store is not encrypted, and cannot be made so: make a new one with ' +
    'init --encrypt')
}
