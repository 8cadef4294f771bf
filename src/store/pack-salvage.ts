/**
 * Records that the index does not lead to: copies in packs that were superseded, and what lies in quarantine. A
 * record that one flipped bit has spoilt is put right first.
 */
import type { Buffer } from 'node:buffer'
import { basename, join } from 'node:path'
import { type PackSeal, payloadOf } from '../crypto/pack-seal.ts'
import type { Env, EnvFile } from '../env/env.ts'
import { isCode } from '../errors.ts'
import { packHeaderBytes } from '../format/pack-header.ts'
import type { RecordHeader } from '../format/pack-record.ts'
import type { ChunkSource, WantedChunks } from './chunk-source.ts'
import { parsePackName, type StoreLayout } from './layout.ts'
import { readFooter, scanRecords } from './pack-scan.ts'
import { sealOfFile } from './pack-sealing.ts'
import { type LongCall, breathe } from './progress.ts'
import type { RecordReader } from './record-reader.ts'
import { correctedAt } from './spoilt-record.ts'

export class PackSalvage implements ChunkSource {
  readonly name = 'other packs'
  readonly #env: Env
  readonly #layout: StoreLayout
  readonly #reader: RecordReader

  constructor(env: Env, layout: StoreLayout, reader: RecordReader) {
    this.#env = env
    this.#layout = layout
    this.#reader = reader
  }

  async *find(wanted: WantedChunks, call: LongCall): AsyncGenerator<Buffer> {
    for (const path of packFilesIn(this.#env, this.#layout)) {
      if (wanted.size === 0) return
      try {
        using file = this.#env.open(path, 'read')
        yield* this.#pack(file, this.#sealOf(path, file), wanted, call)
      } catch (error) {
        if (!isCode(error, 'IO', 'NOT_FOUND', 'DAMAGED')) throw error
      }
    }
  }

  /** In quarantine a pack's name stands behind a random one. */
  #sealOf(path: string, file: EnvFile): PackSeal | null {
    const name = parsePackName(basename(path)) ?? parsePackName(basename(path).replace(/^[^.]*\./, ''))
    return name === undefined ? null : sealOfFile(this.#env, this.#reader.keys, name.packId, file)
  }

  async *#pack(
    file: EnvFile, seal: PackSeal | null, wanted: WantedChunks, call: LongCall,
  ): AsyncGenerator<Buffer> {
    const end = readFooter(file)?.recordsEnd ?? file.size()
    let steps = 0
    for (const found of scanRecords(file, Math.min(packHeaderBytes, end), end)) {
      const record = found.type === 'gap' ? correctedAt(file, found.offset, found.gapBytes) : found
      const plain = record === undefined ? undefined : this.#decode(seal, { offset: found.offset, ...record }, wanted)
      if (plain !== undefined) yield plain
      steps += 1
      if (steps % 256 === 0) await breathe(call)
    }
  }

  #decode(
    seal: PackSeal | null, { header, bytes, offset }: { header: RecordHeader; bytes: Buffer; offset: number },
    wanted: WantedChunks,
  ): Buffer | undefined {
    if (!wanted.has(header.id.toString('latin1'))) return undefined
    try {
      return this.#reader.decode(header, payloadOf(seal, bytes, header, offset))
    } catch (error) {
      if (!isCode(error, 'DAMAGED', 'NOT_FOUND', 'IO')) throw error
      return undefined
    }
  }
}

function packFilesIn(env: Env, layout: StoreLayout): string[] {
  return [layout.packs, layout.quarantine].filter((directory) => env.exists(directory))
    .flatMap((directory) => env.readdir(directory).sort().map((name) => join(directory, name)))
    .filter((path) => path.endsWith('.pack') && env.stat(path).kind === 'file')
}
