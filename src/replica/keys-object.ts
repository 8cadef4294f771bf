/**
 * The wrapped keys of an encrypted domain on a replica: `keys.json`, as its stores have it, so that a node that has
 * nothing but a secret can open what is there. It is the only object that is replaced: a newer one takes its place.
 *
 * Newer is the one with the higher revision. A store never takes the replica's for its own: who can write there could
 * put slots into it that nobody has the secrets of. Two stores that bring different ones at once leave one of them;
 * each looks again later, and then the higher one wins.
 */
import type { Buffer } from 'node:buffer'
import { type KeysFile, decodeKeysFile, encodeKeysFile } from '../crypto/keys-file.ts'
import { HoldfastError, isCode } from '../errors.ts'
import { keysFileBytesMax } from '../limits.ts'
import { keysPath } from './layout.ts'
import { readObject } from './read-object.ts'
import type { CallOptions, Replica } from './replica.ts'

/** older: the replica has a newer one, of another store of the domain. */
export type KeysOutcome = 'same' | 'brought' | 'older'

/** One that is damaged there, or of another domain, is replaced. Errors: NEWER_VERSION, those of every call. */
export async function bringKeys(replica: Replica, keys: KeysFile, options?: CallOptions): Promise<KeysOutcome> {
  const there = await readable(replica, options)
  if (there !== null && there.domainId.equals(keys.domainId)) {
    if (encodeKeysFile(there).equals(encodeKeysFile(keys))) return 'same'
    if (there.revision >= keys.revision) return 'older'
  }
  await replica.put(keysPath, encodeKeysFile(keys), { ...options, replace: true })
  return 'brought'
}

/** Errors: NOT_FOUND, DAMAGED, BAD_FORMAT, NEWER_VERSION, those of every call. */
export async function readKeys(replica: Replica, domainId: Buffer, options?: CallOptions): Promise<KeysFile> {
  const keys = decodeKeysFile(await readObject(replica, keysPath, keysFileBytesMax, options))
  if (keys.domainId.equals(domainId)) return keys
  throw new HoldfastError('DAMAGED', `${keysPath} of ${replica.url} is not of the domain that is there: have it ` +
    "put right by a store of that domain, with 'holdfast replica sync'")
}

/** Null for one that is not there, or cannot be read. */
async function readable(replica: Replica, options?: CallOptions): Promise<KeysFile | null> {
  try {
    return decodeKeysFile(await readObject(replica, keysPath, keysFileBytesMax, options))
  } catch (error) {
    if (isCode(error, 'NOT_FOUND', 'DAMAGED', 'BAD_FORMAT', 'REPLICA_FAULT')) return null
    throw error
  }
}
