/** A rig whose image is open, and short words for what tests do with it. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { logRecordHeaderBytes } from '../../src/format/log.ts'
import type { Engine } from '../../src/image/engine.ts'
import type { Head } from '../../src/image/head.ts'
import type { EngineOptions } from '../../src/image/local-engine.ts'
import { readData, truncateData, writeData } from '../../src/image/head-data.ts'
import { offsetOf } from '../../src/image/offset.ts'
import { lookup, make } from '../../src/image/head-names.ts'
import type { InodeState } from '../../src/image/inode-state.ts'
import { rootInode } from '../../src/image/ingest.ts'
import { fileType } from '../../src/image/modes.ts'
import type { CommitResult, MachineState } from '../../src/image/types.ts'
import { makeRig, openHead } from './rig.ts'
import type { HeadRig, Rig } from './rig.ts'
import { openLocalEngine } from './variant.ts'

/** A rig that is removed when the test ends. */
export async function temporaryRig(t: ExecutionContext): Promise<Rig> {
  const rig = await makeRig()
  t.teardown(() => rig.remove())
  return rig
}

export class Work {
  readonly rig: Rig
  readonly image: string
  engine: Engine
  #open: HeadRig | null = null

  constructor(rig: Rig, image: string) {
    this.rig = rig
    this.image = image
    this.engine = rig.engine
  }

  /** A new image with an open head. */
  static async start(t: ExecutionContext, base: string[] = [], image = 'vm', rig?: Rig): Promise<Work> {
    const work = new Work(rig ?? await temporaryRig(t), image)
    await work.engine.createImage({ image, base })
    t.teardown(() => work.abandon())
    t.teardown(() => work.engine.close().catch(() => undefined))
    await work.open()
    return work
  }

  get head(): Head {
    if (this.#open === null) throw new Error('the head is closed')
    return this.#open.head
  }

  get store(): string {
    return this.rig.directory
  }

  /** A path of the image's own directory. */
  path(...parts: string[]): string {
    return join(this.store, 'images', this.image, ...parts)
  }

  async open(): Promise<void> {
    this.#open = await openHead(await this.engine.openHead({ image: this.image }))
  }

  /** Lets go of the head's files; the engine is not told. */
  async abandon(): Promise<void> {
    await this.#open?.close()
    this.#open = null
  }

  async close(): Promise<void> {
    await this.abandon()
    await this.engine.closeHead({ image: this.image })
  }

  /** Closes head and engine, lets `change` loose on the files, and opens the engine again. */
  async restart(change: () => void = () => undefined, options: EngineOptions = {}): Promise<void> {
    if (this.#open !== null) await this.close()
    await this.engine.close()
    change()
    this.engine = await openLocalEngine(this.store, options)
  }

  file(name: string, isMemory = false): InodeState {
    const root = this.head.inode(rootInode)!
    const found = lookup(this.head, root, Buffer.from(name))
    if (typeof found !== 'number') return found
    const made = make(this.head, root, Buffer.from(name), { mode: fileType.regular | 0o644, uid: 0, gid: 0, isMemory }, 0n)
    if (typeof made === 'number') throw new Error(`making ${name} failed with ${made}`)
    return made
  }

  write(name: string, bytes: Uint8Array | string, at = 0): number {
    const payload = Buffer.from(bytes)
    const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), payload])
    return writeData(this.head, this.file(name), offsetOf(BigInt(at)), message, logRecordHeaderBytes, payload.length, 0n)
  }

  truncate(name: string, size: number): number {
    return truncateData(this.head, this.file(name), offsetOf(BigInt(size)), 0n)
  }

  read(name: string, at = 0, bytesMax = 2 ** 20): Buffer {
    const target = Buffer.alloc(bytesMax)
    const { chunk, within } = offsetOf(BigInt(at))
    return target.subarray(0, readData(this.head, this.file(name), chunk, within, bytesMax, target))
  }

  /** Commits all so far and retires it. */
  async commit(kind: 'head' | 'epoch' = 'head', extra: { note?: string; machine?: MachineState } = {}): Promise<CommitResult> {
    const segment = this.head.rotate()
    const result = await this.engine.commit({ image: this.image, segment, kind, ...extra })
    this.head.retire(result.segment, Buffer.from(result.manifest, 'hex'))
    return result
  }

  /** A file of an epoch, exported. */
  async exported(epoch: string, path: string): Promise<Buffer> {
    const file = join(this.rig.parent, `exported-${Math.random().toString(36).slice(2)}`)
    await this.engine.exportFile({ epoch, path, file, format: 'raw' })
    return fs.readFileSync(file)
  }
}
