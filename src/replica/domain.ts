/**
 * Whose chunks a replica holds: `domain.json`, the first object there, made once and never replaced.
 *
 *   {"holdfast": "domain", "version": 1, "domainId": HEX 32, "keyId": 0 | 1}
 *
 * keyId 1: the domain is encrypted, its keys are in `keys.json` (keys-object.ts).
 */
import { Buffer } from 'node:buffer'
import { HoldfastError, isCode } from '../errors.ts'
import { type JsonText, jsonText } from './json-text.ts'
import { domainPath } from './layout.ts'
import { readObject } from './read-object.ts'
import type { CallOptions, Replica } from './replica.ts'

export interface Domain {
  readonly domainId: Buffer
  readonly keyId: number
}

const domainVersion = 1
const domainBytesMax = 4096

/**
 * Makes the replica one of this domain, or finds that it is. Its root must be there.
 * Errors: WRONG_DOMAIN (it belongs to other stores), NEWER_VERSION, BAD_FORMAT, DAMAGED, NOT_FOUND (its root).
 */
export async function joinDomain(replica: Replica, domain: Domain, options?: CallOptions): Promise<void> {
  const found = await readDomain(replica, options) ?? await makeDomain(replica, domain, options)
  if (found.keyId !== domain.keyId) throw otherwiseEncrypted(replica, found)
  if (found.domainId.equals(domain.domainId)) return
  throw new HoldfastError('WRONG_DOMAIN', `${replica.url} holds the chunks of another store: give this one a ` +
    'directory of its own, or make the store anew from that replica', { info: { url: replica.url } })
}

/** Null where nobody has made it a replica. Errors: NEWER_VERSION, BAD_FORMAT, DAMAGED. */
export async function readDomain(replica: Replica, options?: CallOptions): Promise<Domain | null> {
  try {
    return decodeDomain(await readObject(replica, domainPath, domainBytesMax, options), replica.url)
  } catch (error) {
    if (isCode(error, 'NOT_FOUND')) return null
    throw error
  }
}

/** Of two who make it at once one does, and the other sees what it is. */
async function makeDomain(replica: Replica, domain: Domain, options?: CallOptions): Promise<Domain> {
  try {
    await replica.put(domainPath, encodeDomain(domain), options)
    return domain
  } catch (error) {
    if (!isCode(error, 'EXISTS')) throw error
    return await readDomain(replica, options) ?? domain
  }
}

function otherwiseEncrypted({ url }: Replica, { keyId }: Domain): HoldfastError {
  const how = keyId === 0 ? 'is not encrypted, and this store is' : 'is encrypted, and this store is not'
  return new HoldfastError('WRONG_DOMAIN', `${url} ${how}: give this one a directory of its own`, { info: { url } })
}

function encodeDomain({ domainId, keyId }: Domain): Buffer {
  const fields = { holdfast: 'domain', version: domainVersion, domainId: domainId.toString('hex'), keyId }
  return Buffer.from(`${JSON.stringify(fields)}\n`)
}

function decodeDomain(bytes: Buffer, url: string): Domain {
  const text: JsonText = jsonText(bytes, { kind: 'domain', versionMax: domainVersion, where: `domain.json of ${url}` })
  return { domainId: text.hex('domainId', 16), keyId: text.count('keyId') }
}
