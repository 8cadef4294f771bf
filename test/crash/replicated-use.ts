/** A replica beside the recorded store, kept up through the same Env, and what of it a crash must leave. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { messageOf } from '../../src/errors.ts'
import { StoreOutbox } from '../../src/image/outbox.ts'
import { readDomain } from '../../src/replica/domain.ts'
import { imageKey } from '../../src/replica/layout.ts'
import { openReplica } from '../../src/replica/open.ts'
import { ReplicaRegistry } from '../../src/replica/registry.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { Replicator } from '../../src/replica/replicator.ts'
import { openLocalEngine } from '../image/variant.ts'
import { testLimits } from '../replica/hdfs.ts'
import { buildStore, imageKeys, publishedNumbers, quickLimits } from '../replica/node.ts'
import { QuickDirectory } from './quick-directory.ts'
import { filesOf } from './tree.ts'
import type { Tree } from './tree.ts'
import type { Workload } from './workload.ts'

/** The replica's directory in the recording's root. */
const place = 'replica'

interface Acknowledged {
  readonly at: number
  readonly key: string
  readonly numbers: readonly number[]
}

export class ReplicatedUse {
  readonly #workload: Workload
  readonly #replicator: Replicator
  readonly #acknowledged: Acknowledged[] = []
  readonly #judged = new Map<string, Promise<string[]>>()

  private constructor(workload: Workload) {
    this.#workload = workload
    const { env } = workload.recording
    const { directory } = workload
    const root = join(dirname(directory), place)
    env.mkdir(root)
    env.syncDirectory(dirname(directory))
    const registry = new ReplicaRegistry(env, directory)
    registry.add({ name: 'beside', url: `file://${root}`, isAuthority: true, bytesPerSecondMax: null })
    this.#replicator = new Replicator({
      env, registry, limits: quickLimits, onEvent: () => undefined,
      outbox: new StoreOutbox(env, directory, {
        durablePacks: (args) => workload.engine.durablePacks(args), fence: (args) => workload.engine.fence(args),
      }),
      open: ({ url }) => openReplica(env, url, { limits: testLimits }),
    })
  }

  static async begin(workload: Workload): Promise<ReplicatedUse> {
    const use = new ReplicatedUse(workload)
    await use.#replicator.refresh()
    return use
  }

  /** On return the replica has every epoch that there is. */
  async sync(): Promise<void> {
    await this.#replicator.sync(null, {})
    const at = this.#workload.recording.operations.length
    for (const { image, id } of await this.#workload.engine.images()) {
      const numbers = (await this.#workload.engine.log({ image })).map(({ number }) => number)
      this.#acknowledged.push({ at, key: imageKey(Buffer.from(id, 'hex')), numbers })
    }
  }

  close(): Promise<void> {
    return this.#replicator.close()
  }

  /**
   * What is wrong with the replica that a crash left: each of its epochs is to be whole, those synced are to be there.
   * Many points lie in the store alone: what is left of the replica is judged once.
   */
  examine(tree: Tree, crashAt: number): Promise<string[]> {
    const hash = createHash('sha256').update(String(this.#acknowledged.filter(({ at }) => at <= crashAt).length))
    for (const [path, bytes] of filesOf(tree)) if (path.startsWith(`${place}/`)) hash.update(path).update(bytes)
    const key = hash.digest('hex')
    const known = this.#judged.get(key) ?? this.#judge(tree, crashAt)
    this.#judged.set(key, known)
    return known
  }

  async #judge(tree: Tree, at: number): Promise<string[]> {
    using directory = new QuickDirectory('hf-replica-')
    const root = join(directory.path, place)
    mkdirSync(root)
    try {
      for (const [path, bytes] of filesOf(tree)) {
        if (!path.startsWith(`${place}/`)) continue
        mkdirSync(dirname(join(directory.path, path)), { recursive: true })
        writeFileSync(join(directory.path, path), bytes)
      }
      await using replica = openReplica(systemEnv(), `file://${root}`)
      const faults = await this.#missing(replica, at)
      if (await readDomain(replica) === null || (await keysOf(replica)).length === 0) return faults
      return [...faults, ...await unsound(replica, join(directory.path, 'built'), this.#workload)]
    } catch (error) {
      return [`the replica cannot be read: ${messageOf(error)}`]
    }
  }

  async #missing(replica: Replica, at: number): Promise<string[]> {
    const faults: string[] = []
    for (const { key, numbers } of this.#acknowledged.filter((each) => each.at <= at)) {
      const present = await publishedNumbers(replica, key)
      const gone = numbers.filter((number) => !present.includes(number))
      if (gone.length > 0) faults.push(`the replica has lost epochs ${gone.join(', ')} of ${key}`)
    }
    return faults
  }
}

async function keysOf(replica: Replica): Promise<string[]> {
  try {
    return await imageKeys(replica)
  } catch {
    return []
  }
}

/** A store made of the replica alone checks out, and its epochs are those that were sealed. */
async function unsound(replica: Replica, directory: string, workload: Workload): Promise<string[]> {
  await buildStore(replica, directory)
  // An owner comes before the first record, and is no image alone.
  if (!existsSync(join(directory, 'images'))) return []
  for (const image of readdirSync(join(directory, 'images'))) {
    if (readdirSync(join(directory, 'images', image, 'epochs')).length === 0) rmSync(join(directory, 'images', image), { recursive: true })
  }
  await using engine = await openLocalEngine(directory)
  const { damaged } = await engine.check({ readData: true })
  const faults = damaged.map(({ what, where, message }) => `on the replica ${what} ${where} ${message}`)
  for (const { image } of await engine.images()) {
    for (const { number, id } of await engine.log({ image })) {
      if (workload.images.get(image)?.epochs.get(number)?.id !== id) faults.push(`the replica's ${image}@${number} was never sealed`)
    }
  }
  return faults
}
