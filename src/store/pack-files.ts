/**
 * The packs of a directory by number, for one thread: a listing, and a bounded number of open descriptors.
 * Packs that others add are seen when somebody asks for their number.
 */
import { Buffer } from 'node:buffer'
import type { DomainKeys } from '../crypto/domain-keys.ts'
import type { PackSeal } from '../crypto/pack-seal.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { decodePackHeader, packHeaderBytes } from '../format/pack-header.ts'
import { packBytesMax, packFilesOpenMax } from '../limits.ts'
import { type PackName, type StoreLayout, parsePackName } from './layout.ts'
import { sealOfFile } from './pack-sealing.ts'

/** Bytes of packs by number. */
export interface PackSource {
  /** Of the domain; null where nothing is encrypted. */
  readonly keys: DomainKeys | null
  /** What opens the pack's records; null where nothing is encrypted, or for an unknown pack. Errors: KEY_NEEDED. */
  sealOf(packNumber: number): PackSeal | null
  /** Fills `target` from `offset`; returns the bytes read: 0 for an unknown pack, fewer at its end. */
  read(packNumber: number, target: Buffer, offset: number): number
  /** Whether the pack is there and at least so long; cheaper than reading its last byte. */
  reaches(packNumber: number, end: number): boolean
}

interface OpenFile {
  readonly file: EnvFile
  readonly seal: PackSeal | null
  /** As last seen: the open pack grows. */
  bytes: number
}

export class PackFiles implements PackSource, Disposable {
  readonly keys: DomainKeys | null
  readonly #env: Env
  readonly #layout: StoreLayout
  readonly #names = new Map<number, PackName>()
  readonly #open = new Map<number, OpenFile>()
  /** The highest that any file has, or ever had since this began. */
  numberMax = 0
  /** Paths of what has a pack's name and is none, and why. */
  readonly strangers = new Map<string, string>()
  readonly #origins = new Map<number, { packId: Buffer; isCopied: boolean }>()

  constructor(env: Env, layout: StoreLayout, keys: DomainKeys | null = null) {
    this.keys = keys
    this.#env = env
    this.#layout = layout
    this.refresh()
  }

  /** Reads the directory again. */
  refresh(): void {
    const known = new Map(this.#names)
    this.#names.clear()
    this.strangers.clear()
    for (const file of this.#env.readdir(this.#layout.packs).sort()) {
      const name = parsePackName(file)
      if (name === undefined) continue
      this.numberMax = Math.max(this.numberMax, name.number)
      const isKnown = known.get(name.number)?.packId.equals(name.packId) ?? false
      const fault = this.#names.has(name.number) ? 'another pack has its number' : isKnown ? null : this.#faultOf(name)
      if (fault === null) this.#names.set(name.number, name)
      else this.strangers.set(this.#layout.pack(name), fault)
    }
  }

  /** By number, oldest first. */
  names(): PackName[] {
    return [...this.#names.values()].sort((left, right) => left.number - right.number)
  }

  add(name: PackName): void {
    this.#names.set(name.number, name)
  }

  /** Forgets a pack whose file is gone or is about to be. */
  remove(packNumber: number): void {
    this.#names.delete(packNumber)
    this.#origins.delete(packNumber)
    this.#open.get(packNumber)?.file.close()
    this.#open.delete(packNumber)
  }

  has(packNumber: number): boolean {
    return this.#names.has(packNumber)
  }

  /** What the pack's header says of it; undefined where the pack is gone or its header is damaged. */
  origin(packNumber: number): { packId: Buffer; isCopied: boolean } | undefined {
    const known = this.#origins.get(packNumber)
    if (known !== undefined) return known
    const bytes = Buffer.alloc(packHeaderBytes)
    try {
      const header = decodePackHeader(bytes.subarray(0, this.read(packNumber, bytes, 0)))
      this.#origins.set(packNumber, header)
      return header
    } catch (error) {
      if (!isCode(error, 'BAD_FORMAT', 'DAMAGED', 'NEWER_VERSION', 'UNSUPPORTED')) throw error
      return undefined
    }
  }

  read(packNumber: number, target: Buffer, offset: number): number {
    return this.#file(packNumber)?.file.read(target, offset) ?? 0
  }

  sealOf(packNumber: number): PackSeal | null {
    return this.#file(packNumber)?.seal ?? null
  }

  reaches(packNumber: number, end: number): boolean {
    const open = this.#file(packNumber)
    if (open === undefined) return false
    if (open.bytes < end) open.bytes = open.file.size()
    return open.bytes >= end
  }

  close(): void {
    for (const { file } of this.#open.values()) file.close()
    this.#open.clear()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** What has a pack's name and cannot be one. It is left alone, and verification tells of it. */
  #faultOf(name: PackName): string | null {
    const path = this.#layout.pack(name)
    // It may have been removed since it was listed.
    if (!this.#env.exists(path)) return null
    const { kind, bytes } = this.#env.stat(path)
    if (kind !== 'file') return 'it is no file'
    return bytes > packBytesMax ? 'it is longer than any pack' : null
  }

  #file(packNumber: number): OpenFile | undefined {
    const open = this.#open.get(packNumber)
    if (open !== undefined) return open
    if (!this.#names.has(packNumber)) this.refresh()
    const name = this.#names.get(packNumber)
    return name === undefined ? undefined : this.#openFile(name)
  }

  #openFile(name: PackName): OpenFile | undefined {
    try {
      const file = this.#env.open(this.#layout.pack(name), 'read')
      const open = { file, seal: sealOfFile(this.#env, this.keys, name.packId, file), bytes: file.size() }
      this.#open.set(name.number, open)
      this.#closeOldest()
      return open
    } catch (error) {
      // The collector may have removed the pack since it was listed: the record has moved, or is gone.
      if (!isCode(error, 'NOT_FOUND')) throw error
      this.remove(name.number)
      return undefined
    }
  }

  #closeOldest(): void {
    if (this.#open.size <= packFilesOpenMax) return
    for (const [packNumber, { file }] of this.#open) {
      file.close()
      this.#open.delete(packNumber)
      return
    }
  }
}
