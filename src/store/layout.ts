/**
 * Where things lie in a store's directory, as far as the chunk store goes:
 *
 *   store.json                    identity (identity.ts)
 *   keys.json                     only where the store is encrypted: its keys, wrapped (src/crypto/key-slots.ts)
 *   lock                          locked by the process that owns the store
 *   packs/0000002a.ID.pack        pack number (hex) and pack id
 *   index/                        LevelDB, rebuildable
 *   index.opening                 empty; there while the index is being opened, and once it may be damaged: left
 *                                 behind, it is made again (index-mark.ts)
 *   tmp/                          files not yet named; emptied at open
 *   quarantine/                   files that were replaced, or could not be read (quarantine.ts)
 */
import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { identityBytes } from '../limits.ts'

export class StoreLayout {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  get identity(): string {
    return join(this.directory, 'store.json')
  }

  get keys(): string {
    return join(this.directory, 'keys.json')
  }

  get lock(): string {
    return join(this.directory, 'lock')
  }

  get packs(): string {
    return join(this.directory, 'packs')
  }

  get index(): string {
    return join(this.directory, 'index')
  }

  /** There while the index is being opened, and once it turned out to be damaged: it is made again at the next open. */
  get indexOpening(): string {
    return join(this.directory, 'index.opening')
  }

  get quarantine(): string {
    return join(this.directory, 'quarantine')
  }

  get temporary(): string {
    return join(this.directory, 'tmp')
  }

  pack(name: PackName): string {
    return join(this.packs, formatPackName(name))
  }
}

export interface PackName {
  readonly number: number
  readonly packId: Buffer
}

export const packNumberMax = 0xffff_ffff

const packNamePattern = new RegExp(`^([0-9a-f]{8})\\.([0-9a-f]{${identityBytes * 2}})\\.pack$`)

export function formatPackName({ number, packId }: PackName): string {
  return `${number.toString(16).padStart(8, '0')}.${packId.toString('hex')}.pack`
}

/** Undefined for a name that is not a pack's. */
export function parsePackName(name: string): PackName | undefined {
  const match = packNamePattern.exec(name)
  return match === null ? undefined : { number: Number.parseInt(match[1], 16), packId: Buffer.from(match[2], 'hex') }
}
