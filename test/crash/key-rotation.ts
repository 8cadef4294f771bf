/**
 * An encrypted store whose keys are rotated while what is done to its files is recorded, and a judge of what a crash in
 * the middle leaves: the secret that the rotation was given opens it, the other one as long as the old keys stand, all
 * is there, and a second rotation ends what the first began.
 */
import fs from 'node:fs'
import { join } from 'node:path'
import type { Secret } from '../../src/crypto/secret.ts'
import { unlock } from '../../src/crypto/key-slots.ts'
import type { Env } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { isCode, messageOf } from '../../src/errors.ts'
import { decodePackHeader, packHeaderBytes } from '../../src/format/pack-header.ts'
import type { Engine } from '../../src/image/engine.ts'
import { readKeysFile } from '../../src/store/keys.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { openLocalEngine } from '../image/variant.ts'
import { modelRoot } from '../image/model.ts'
import { testSecret } from '../crypto/keys.ts'
import type { Random } from '../random.ts'
import { IndexCopies, indexVariants } from './index-variants.ts'
import { memoryEnv } from './memory-env.ts'
import { powerLoss } from './power-losses.ts'
import { RecordingEnv } from './recording-env.ts'
import type { RecordedOperation } from './recording-env.ts'
import { locate } from './tree.ts'
import { Volume } from './volume.ts'
import { packBytesMax, Workload } from './workload.ts'

const around = ['store/index', 'store/lock']
const file = { permissions: 0o644, uid: 0, isMemory: false, target: '' }
const otherSecret = { kind: 'keyFile', bytes: Buffer.alloc(32, 0x0d) } satisfies Secret

/** Bytes of files by epoch and path. */
type Contents = Map<string, string>

export class KeyRotation {
  readonly #random: Random
  readonly #parent: string
  readonly #indexes: IndexCopies
  #operations: readonly RecordedOperation[] = []
  #wanted: Contents = new Map()
  /** The rotation is what lies between the two; the last that it does is to give up the old data key. */
  begin = 0
  end = 0

  private constructor(random: Random, parent: string) {
    this.#random = random
    this.#parent = parent
    this.#indexes = new IndexCopies(join(parent, 'indexes'))
  }

  static async record(random: Random, parent: string): Promise<KeyRotation> {
    const rotation = new KeyRotation(random, parent)
    await rotation.#record()
    return rotation
  }

  get #root(): string {
    return join(this.#parent, 'disk')
  }

  get #directory(): string {
    return join(this.#root, 'store')
  }

  async #record(): Promise<void> {
    fs.mkdirSync(this.#root)
    const recording = new RecordingEnv({ inner: systemEnv(), root: this.#root, around, random: this.#random })
    await this.#fill(new Workload(this.#random, recording, this.#root, this.#indexes))
    // The records that come are sealed with keys that the workload does not know.
    recording.watch = () => undefined
    this.begin = recording.operations.length
    {
      await using engine = await this.#open(recording.env)
      await engine.rotateKeys()
    }
    this.#indexes.add(join(this.#directory, 'index'), recording.operations.length)
    this.end = lastOf(recording.operations, 'store/keys.json')
    this.#operations = [...recording.operations]
    const copy = join(this.#parent, 'copy')
    fs.cpSync(this.#directory, copy, { recursive: true })
    {
      await using engine = await openLocalEngine(copy, { packBytesMax })
      this.#wanted = await this.#contentsOf(engine)
    }
    fs.rmSync(this.#directory, { recursive: true })
    fs.mkdirSync(this.#directory)
  }

  /** Epochs, a fork, a committed head, and a log behind it; two secrets open it. */
  async #fill(workload: Workload): Promise<void> {
    await workload.start()
    workload.meanwhile = () => undefined
    const { inode } = workload.do({ do: 'make', parent: modelRoot, name: 'file', kind: 'file', ...file, inode: 0 })
    const write = (): void => {
      for (let count = 0; count < 4; count += 1) {
        workload.do({ do: 'write', inode, at: this.#random.below(600_000), bytes: this.#random.bytes(40_000) })
      }
    }
    for (const kind of ['epoch', 'epoch', 'head'] as const) {
      write()
      await workload.commit(kind)
      await workload.retire()
    }
    write()
    await workload.fsync()
    const key = join(this.#parent, 'other')
    fs.writeFileSync(key, otherSecret.bytes)
    await workload.engine.keys({ action: 'add', secret: { keyFile: key } })
    await workload.engine.fork({ epoch: 'vm@1', image: 'fork' })
    await workload.close()
  }

  /** Everything that is not as it must be when it is broken off after so many operations. */
  async faultsAt(at: number, lossName: string): Promise<string[]> {
    const volume = new Volume()
    for (const operation of this.#operations.slice(0, at)) volume.apply(operation)
    const tree = volume.after(powerLoss(lossName, this.#random, volume.pending()), this.#random)
    const variant = this.#random.pick(indexVariants)
    const isIndexGone = variant === 'deleted' || locate(tree, ['store', 'index.opening'])?.node !== undefined
    await this.#indexes.place(join(this.#directory, 'index'), variant, at, this.#random)
    const env = memoryEnv({ tree, root: this.#root, around, random: this.#random })
    const faults: string[] = []
    try {
      await this.#judge(env, { at, isIndexGone }, faults)
    } catch (error) {
      faults.push(messageOf(error))
    }
    return faults.map((fault) => `point ${at} of ${this.begin} to ${this.end}, ${lossName}, index ${variant}: ${fault}`)
  }

  /** Without its index a store cannot tell what never arrived in a pack from damage: it says so, and all is there. */
  async #judge(env: Env, { at, isIndexGone }: { at: number; isIndexGone: boolean }, faults: string[]): Promise<void> {
    const otherOpens = await this.#otherOpens(env)
    const { slots } = readKeysFile(env, new StoreLayout(this.#directory))
    if (otherOpens !== (slots.length === 2)) faults.push(`the other secret opens it: ${otherOpens}, of ${slots.length} slots`)
    if (at <= this.begin && !otherOpens) faults.push('the other secret is out of use before the rotation began')
    await using engine = await this.#open(env)
    // What the log holds is not committed yet, so the head is looked at after the rotation.
    await engine.rotateKeys()
    const { keyId, slots: left } = await engine.keys({ action: 'list' })
    // Whatever of it was done, it is not begun once more.
    if (keyId !== 2 && at <= this.end) faults.push(`the data key is number ${keyId}`)
    if (left.length !== 1) faults.push(`${left.length} slots are left`)
    const { damaged } = await engine.check({ readData: true })
    for (const { what, where, message } of damaged) {
      if (!(isIndexGone && message.includes('no sound record'))) faults.push(`check finds ${what} ${where} ${message}`)
    }
    this.#compare(await this.#contentsOf(engine), faults)
    await engine.close()
    if (await this.#otherOpens(env)) faults.push('the other secret still opens it')
    faults.push(...this.#leftOf(env))
  }

  #compare(found: Contents, faults: string[]): void {
    for (const [name, bytes] of this.#wanted) if (found.get(name) !== bytes) faults.push(`${name} is not what it was`)
    if (found.size > this.#wanted.size) faults.push('there are more epochs than there were')
  }

  /** What is still sealed with the old data key, or the key itself. */
  #leftOf(env: Env): string[] {
    const layout = new StoreLayout(this.#directory)
    const { keys } = unlock(readKeysFile(env, layout), testSecret)
    const old = env.readdir(layout.packs).filter((name) => {
      const header = Buffer.alloc(packHeaderBytes)
      using pack = env.open(join(layout.packs, name), 'read')
      pack.read(header, 0)
      return decodePackHeader(header).keyId !== keys.keyId
    })
    const ring = keys.ring.dataKeys.size === 1 ? [] : ['the old data key is still there']
    return [...ring, ...old.map((name) => `${name} is sealed with an old key`)]
  }

  async #otherOpens(env: Env): Promise<boolean> {
    try {
      await using engine = await this.#open(env, otherSecret)
      return (await engine.images()).length > 0
    } catch (error) {
      if (isCode(error, 'KEY_WRONG')) return false
      throw error
    }
  }

  #open(env: Env, secret: Secret = testSecret): Promise<Engine> {
    return openLocalEngine(this.#directory, { env, secret, packBytesMax })
  }

  /** The heads are sealed, so that they are looked at as epochs. */
  async #contentsOf(engine: Engine): Promise<Contents> {
    const contents: Contents = new Map()
    const target = join(this.#parent, 'exported')
    for (const { image } of await engine.images()) {
      await engine.sealHead({ image })
      for (const { number } of await engine.log({ image })) {
        if (image === 'vm' && number === 0) continue
        fs.rmSync(target, { force: true })
        await engine.exportFile({ epoch: `${image}@${number}`, path: '/file', file: target, format: 'raw' })
        contents.set(`${image}@${number}`, fs.readFileSync(target, 'base64'))
      }
    }
    return contents
  }
}

function lastOf(operations: readonly RecordedOperation[], path: string): number {
  return operations.findLastIndex((operation) => operation.do === 'names' && operation.what.endsWith(` to ${path}`))
}
