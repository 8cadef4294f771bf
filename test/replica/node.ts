/** A store with an image and a replicator, and what its replicas make of it: a store built from a replica alone. */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemEnv } from '../../src/env/system.ts'
import { isCode } from '../../src/errors.ts'
import { encodeEpoch } from '../../src/format/epoch.ts'
import { decodeEpochBatch } from '../../src/format/epoch-batch.ts'
import { entriesOfRun } from '../../src/format/index-run.ts'
import { packHeaderBytes } from '../../src/format/pack-header.ts'
import { stayingBy } from '../../src/image/collection/replica-retention.ts'
import type { GarbageRequest } from '../../src/image/collection/types.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { StoreOutbox } from '../../src/image/outbox.ts'
import type { ReplicaGarbage } from '../../src/replica/collection/replica-garbage.ts'
import { readDomain } from '../../src/replica/domain.ts'
import { Ownership, newestGeneration } from '../../src/replica/feed/ownership.ts'
import { prefixOf } from '../../src/replica/feed/pack-presence.ts'
import * as layout from '../../src/replica/layout.ts'
import type { ReplicationLimits } from '../../src/replica/limits.ts'
import { type RecordBatch, outermost } from '../../src/replica/image-list.ts'
import { openReplica } from '../../src/replica/open.ts'
import { readObject } from '../../src/replica/read-object.ts'
import { ReplicaRegistry } from '../../src/replica/registry.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { Replicator } from '../../src/replica/replicator.ts'
import { initStore } from '../../src/store/identity.ts'
import { readFooter, scanRecords } from '../../src/store/pack-scan.ts'
import { Work } from '../image/work.ts'
import { testLimits } from './hdfs.ts'

const env = systemEnv()

const pieceBytes = 256 * 1024
/** What takes a second may take minutes on a machine that is busy; a test's own time limit is longer. */
const untilMs = 240_000

export const quickLimits: ReplicationLimits = { batchEveryMs: 10, retryMinMs: 20, retryMaxMs: 200, copiesWaitMs: 1_000, lagAlarmMs: 1_000 }

export class ReplicatedNode {
  readonly work: Work
  readonly registry: ReplicaRegistry
  readonly events: string[] = []
  replicator: Replicator
  /** What stands between the replicator and its replicas. */
  between = (replica: Replica): Replica => replica

  private constructor(work: Work) {
    this.work = work
    this.registry = new ReplicaRegistry(env, work.store)
    this.replicator = this.#replicator()
  }

  static async start(t: ExecutionContext, urls: readonly string[], work?: Work): Promise<ReplicatedNode> {
    const node = new ReplicatedNode(work ?? await Work.start(t))
    for (const [at, url] of urls.entries()) node.add(`r${at}`, url)
    await node.replicator.refresh()
    t.teardown(() => node.replicator.close())
    return node
  }

  add(name: string, url: string): void {
    this.registry.add({ name, url, isAuthority: false, bytesPerSecondMax: null })
  }

  /** A new epoch with something new in it. */
  async seal(text: string): Promise<number> {
    this.work.write('file', text.padEnd(5000, '.'))
    const { epoch } = await this.work.commit('epoch')
    this.replicator.poke()
    return epoch!.number
  }

  /** Writes so many bytes that cannot be compressed. */
  fill(name: string, bytes: number): void {
    for (let at = 0; at < bytes; at += pieceBytes) this.work.write(name, randomBytes(pieceBytes), at)
  }

  /** The replicator is another process from now on. */
  async restart(t: ExecutionContext): Promise<void> {
    await this.replicator.close()
    this.replicator = this.#replicator()
    await this.replicator.refresh()
    t.teardown(() => this.replicator.close())
  }

  #replicator(): Replicator {
    const engine = {
      durablePacks: (args: { from: number }) => this.work.engine.durablePacks(args),
      fence: (args: { image: string; key: string; generation: number; last: number }) => this.work.engine.fence(args),
    }
    return new Replicator({
      env, outbox: new StoreOutbox(env, this.work.store, engine), registry: this.registry, limits: quickLimits,
      open: ({ url }) => this.between(openReplica(env, url, { limits: testLimits })), onEvent: (message) => this.events.push(message),
    })
  }
}

/** What a replica says of an image, from all generations. */
export async function publishedNumbers(replica: Replica, key: string): Promise<number[]> {
  return (await epochsOn(replica, key)).map(({ number }) => number)
}

/** As readers see them: a batch within another one, which a collector that died has not removed yet, counts for nothing. */
export async function epochsOn(replica: Replica, key: string) {
  return unchanged(async () => {
    const batches = await batchesOn(replica, key)
    const counted = new Set(outermost(batches))
    const found = new Map<number, ReturnType<typeof decodeEpochBatch>['epochs'][number]>()
    const ids = new Map<number, Buffer>()
    for (const batch of batches) {
      for (const epoch of decodeEpochBatch(await readObject(replica, batch.path, 2 ** 23), batch.path).epochs) {
        if (!(ids.get(epoch.number) ?? epoch.id).equals(epoch.id)) throw new Error(`two epochs ${epoch.number}`)
        ids.set(epoch.number, epoch.id)
        if (counted.has(batch)) found.set(epoch.number, epoch)
      }
    }
    return [...found.values()].sort((a, b) => a.number - b.number)
  })
}

async function batchesOn(replica: Replica, key: string): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = []
  const newest = await newestGeneration(replica, key, {})
  for (let generation = 1; generation <= (newest?.number ?? 0); generation++) {
    for (const part of layout.generationParts(key, generation)) {
      if (await replica.stat(part) === null) continue
      for (const name of await settledNames(replica, part)) {
        if (name !== layout.ownerName) batches.push({ ...layout.parseBatchName(name)!, path: `${part}/${name}` })
      }
    }
  }
  return batches
}

/** Reads again where what was listed had been merged, or its pack had become whole, before it was read. */
async function unchanged<T>(read: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await read()
    } catch (error) {
      if (tries === 20 || !isCode(error, 'NOT_FOUND')) throw error
      await sleep(50)
    }
  }
}

/** Of two listings that agree: a merge between would hide what it merged. */
async function settledNames(replica: Replica, directory: string): Promise<string[]> {
  for (let before = ''; ;) {
    const names: string[] = []
    for await (const { name } of replica.list(directory)) names.push(name)
    if (before === names.join()) return names
    before = names.join()
    await sleep(50)
  }
}

/** Keys of the images on a replica. */
export async function imageKeys(replica: Replica): Promise<string[]> {
  const keys: string[] = []
  for await (const { name } of replica.list(layout.epochsDirectory)) keys.push(name)
  return keys
}

/** Builds a store in `directory` from nothing but a replica: packs from their ranges, images from their records. */
export async function buildStore(replica: Replica, directory: string): Promise<void> {
  initStore(env, directory)
  const { domainId } = (await readDomain(replica))!
  const { magic, version, keyId } = JSON.parse(fs.readFileSync(join(directory, 'store.json'), 'utf8')) as Record<string, unknown>
  // As the store whose packs these are: one of them is still open.
  let storeId = ''
  for await (const { name } of replica.list(layout.indexesDirectory)) storeId = name
  fs.writeFileSync(join(directory, 'store.json'), JSON.stringify({ magic, version, keyId, domainId: domainId.toString('hex'), storeId }))
  let number = 0
  for await (const { name } of replica.list(layout.packsDirectory)) {
    number += 1
    const path = join(directory, 'packs', `${number.toString(16).padStart(8, '0')}.${name}.pack`)
    fs.writeFileSync(path, await unchanged(() => packBytes(replica, name)))
  }
  for (const key of await imageKeys(replica)) await buildImage(replica, key, directory)
}

async function packBytes(replica: Replica, pack: string): Promise<Buffer> {
  const directory = `${layout.packsDirectory}/${pack}`
  if (await replica.stat(`${directory}/whole`) !== null) return readObject(replica, `${directory}/whole`, 2 ** 28)
  const ranges: layout.PackRange[] = []
  for await (const { name } of replica.list(directory)) ranges.push(layout.parseRangeName(name)!)
  const bytes = Buffer.alloc(prefixOf(ranges))
  for (const range of ranges) bytes.set(await readObject(replica, `${directory}/${layout.rangeName(range)}`, 2 ** 28), range.offset)
  return bytes
}

async function buildImage(replica: Replica, key: string, directory: string): Promise<void> {
  const newest = await newestGeneration(replica, key, {})
  const epochs = await epochsOn(replica, key)
  // Whoever was to open the first one, or to publish in it, died before.
  if (newest === null || epochs.length === 0) return
  const { owner } = newest
  const image = join(directory, 'images', owner.image)
  for (const part of ['epochs', 'pins', 'log', 'sets']) fs.mkdirSync(join(image, part), { recursive: true })
  const { origin, createdMs, imageId } = owner
  fs.writeFileSync(join(image, 'image.json'), JSON.stringify({ holdfast: 'image', version: 1, id: imageId.toString('hex'), origin, createdMs }))
  for (const epoch of epochs) {
    fs.writeFileSync(join(image, 'epochs', String(epoch.number).padStart(8, '0')), encodeEpoch(epoch))
  }
}

/** Records of the packs on a replica that no index run names: there are to be none. */
export async function notIndexed(replica: Replica, storeDirectory: string): Promise<number> {
  const named = new Set<string>()
  for await (const { name: store } of replica.list(layout.indexesDirectory)) {
    for await (const { name } of replica.list(`${layout.indexesDirectory}/${store}`)) {
      const bytes = await readObject(replica, `${layout.indexesDirectory}/${store}/${name}`, 2 ** 28)
      for (const { id, packId, place } of entriesOfRun(bytes)) {
        named.add(`${packId.toString('hex')} ${place.offset} ${place.recordBytes} ${place.depth} ${id.toString('hex')}`)
      }
    }
  }
  let missing = 0
  for (const file of fs.readdirSync(join(storeDirectory, 'packs'))) {
    using pack = env.open(join(storeDirectory, 'packs', file), 'read')
    const end = readFooter(pack)?.recordsEnd ?? pack.size()
    for (const found of scanRecords(pack, packHeaderBytes, end)) {
      if (found.type === 'gap') continue
      const { header, offset, recordBytes } = found
      const key = `${file.split('.')[1]} ${offset} ${recordBytes} ${header.depth} ${header.id.toString('hex')}`
      if (!named.has(key)) missing += 1
    }
  }
  return missing
}

export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + untilMs
  while (!await isSo()) {
    if (performance.now() > endMs) throw new Error(`it did not come to this: ${what}`)
    await sleep(10)
  }
}

export async function levelOf(made: ReplicatedNode, number: number): Promise<{ have: number; of: number }> {
  return (await made.work.engine.log({ image: made.work.image })).find((each) => each.number === number)!.replicas
}

/** What the replica holds is a sound store with these contents. */
export async function isWhole(t: ExecutionContext, made: ReplicatedNode, { replica }: { replica: Replica }, contents: Record<string, string>): Promise<void> {
  const directory = join(made.work.rig.parent, `built-${Math.random().toString(36).slice(2)}`)
  await buildStore(replica, directory)
  t.is(await notIndexed(replica, directory), 0, 'records that no run names')
  await using engine = await openLocalEngine(directory)
  const { damaged } = await engine.check({ readData: true })
  // What is there in ranges only has no footer yet.
  const inRanges: string[] = []
  for await (const { name } of replica.list(layout.packsDirectory)) {
    if (await replica.stat(`${layout.packsDirectory}/${name}/whole`) === null) inRanges.push(name)
  }
  const isExpected = ({ message, where }: { message: string; where: string }): boolean => {
    return message === 'the pack has no sound footer' && inRanges.some((pack) => where.includes(pack))
  }
  t.deepEqual(damaged.filter((each) => !isExpected(each)), [])
  for (const [epoch, text] of Object.entries(contents)) {
    const file = join(directory, `exported-${epoch}`)
    await engine.exportFile({ epoch, path: '/file', file, format: 'raw' })
    t.is(fs.readFileSync(file, 'utf8').slice(0, text.length), text, epoch)
  }
}

/** In the store, then on its replicas. */
export async function collect(made: ReplicatedNode, rules: GarbageRequest, forget: string[] = []): Promise<ReplicaGarbage[]> {
  // A head that is open reads by older manifests, too.
  await made.work.close()
  const { isComplete, completeEpochs, ownPacks, goingPacks, removedEpochs } = await made.work.engine.collectGarbage({ maxUnused: 0, ...rules })
  await made.work.open()
  const going = { epochs: new Set(removedEpochs.map(({ epoch }) => epoch)), packs: new Set(goingPacks) }
  const known = { isComplete, completeEpochs: new Set(completeEpochs), ownPacks: new Set(ownPacks) }
  return made.replicator.collect({ decide: stayingBy(rules), ...known, forget, dryRun: rules.dryRun === true ? going : null }, {})
}

/** What another node does that takes an image over. */
export async function takeOver(replica: Replica, key: string): Promise<number> {
  const newest = (await newestGeneration(replica, key, {}))!
  const claim = { ...newest.owner, self: 'ee'.repeat(16), storeId: Buffer.alloc(16, 0xee) }
  const taker = new Ownership(replica, key, claim)
  if (!await taker.takeOver(newest.number, {})) throw new Error('somebody else took it over')
  return taker.generation
}
