/** What is done to a store while it is recorded: each verb at least once, in an order from the seed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ImageLayout } from '../../src/image/layout.ts'
import type { CheckReport } from '../../src/image/types.ts'
import { chunkBytes } from '../../src/limits.ts'
import { modelRoot } from '../image/model.ts'
import type { Random } from '../random.ts'
import { ReplicatedUse } from './replicated-use.ts'
import { flipBit, packsOf, spoilChunk } from './spoiling.ts'
import type { Workload } from './workload.ts'

/** How files are made here. */
const plain = { permissions: 0o644, uid: 0, isMemory: false, target: '' }

type Turn = (workload: Workload) => Promise<void> | void

const turns: [times: number, turn: Turn][] = [
  [2, (workload) => workload.rotate()],
  [3, (workload) => workload.fsync()],
  [1, (workload) => workload.writeBehind()],
  [2, (workload) => workload.commit('head')],
  [3, (workload) => workload.commit('epoch')],
  [3, (workload) => workload.retire()],
  [1, (workload) => workload.reopen(false)],
  [1, (workload) => workload.reopen(true)],
  [1, (workload) => workload.takeOver()],
  [1, (workload) => workload.rollback(false)],
  [1, (workload) => workload.rollback(true)],
  [1, (workload) => workload.fork()],
  [1, (workload) => workload.removeEpoch()],
  [1, (workload) => workload.removeImage()],
  [1, (workload) => workload.pin(true)],
  [1, (workload) => workload.pin(false)],
  [1, (workload) => workload.rebuildIndex()],
]

export async function everyVerb(workload: Workload, random: Random, stepsMax = 3): Promise<void> {
  await workload.start()
  for (const turn of shuffled(turns.flatMap(([times, each]) => Array<Turn>(times).fill(each)), random)) {
    workload.steps(random.below(stepsMax + 1))
    await turn(workload)
  }
  await workload.close()
}

/** A file that has lost its name and is still open is written through seals and takeovers. */
export async function nameless(workload: Workload, random: Random): Promise<void> {
  await workload.start()
  for (let round = 0; round < 3; round += 1) {
    const { inode } = workload.do({ do: 'make', parent: modelRoot, name: 'open', kind: 'file', ...plain, inode: 0 })
    const write = (): void => void workload.do({ do: 'write', inode, at: random.below(100_000), bytes: random.bytes(1 + random.below(3000)) })
    workload.meanwhile = write
    workload.do({ do: 'reference', inode })
    write()
    if (round === 1) await workload.commit('epoch')
    workload.do({ do: 'remove', parent: modelRoot, name: 'open', wants: 'other' })
    await workload.commit('epoch')
    write()
    await workload.fsync()
    workload.rotate()
    await workload.commit(round === 2 ? 'epoch' : 'head')
    if (round > 0) await workload.takeOver()
    write()
    await workload.commit('epoch')
    await workload.retire()
  }
  await workload.close()
}

/** Segments end without being committed, some of them synced and some not. */
export async function manySegments(workload: Workload, random: Random): Promise<void> {
  await workload.start()
  for (let round = 0; round < 8; round += 1) {
    workload.steps(1 + random.below(3))
    if (random.below(3) > 0) workload.rotate()
    workload.steps(1 + random.below(3))
    if (round % 2 === 1) await workload.fsync()
    if (round === 3) await workload.writeBehind()
    if (round === 5) await workload.commit('head')
  }
  await workload.takeOver()
  workload.steps(2)
  await workload.fsync()
  await workload.close()
}

/** A little of what always goes on. */
export async function shortly(workload: Workload, random: Random): Promise<void> {
  await workload.start()
  workload.steps(2 + random.below(3))
  await workload.fsync()
  await workload.commit(random.pick(['head', 'epoch']))
  await workload.retire()
  workload.steps(2)
  await workload.fsync()
  await workload.close()
}

/** Epochs, pins and images come and go; after each, something else is done that makes nothing of it durable. */
export async function comingAndGoing(workload: Workload, random: Random): Promise<void> {
  await workload.start()
  const verbs: Turn[] = [
    () => workload.commit('epoch'), () => workload.commit('epoch'), () => workload.removeEpoch(), () => workload.pin(true),
    () => workload.pin(false), () => workload.fork(), () => workload.commit('epoch'), () => workload.removeEpoch(),
    () => workload.removeImage(), () => workload.rollback(false), () => workload.rollback(true),
  ]
  for (const verb of verbs) {
    await verb(workload)
    workload.steps(1 + random.below(2))
  }
  await workload.close()
}

/** Much is written, so that packs are closed and begun. */
export async function manyPacks(workload: Workload, random: Random): Promise<void> {
  await workload.start()
  const { inode } = workload.do({ do: 'make', parent: modelRoot, name: 'large', kind: 'file', ...plain, inode: 0 })
  const write = (): void => void workload.do({ do: 'write', inode, at: random.below(12) * chunkBytes, bytes: random.bytes(chunkBytes) })
  workload.meanwhile = write
  for (let round = 0; round < 4; round += 1) {
    for (let count = 0; count < 6; count += 1) write()
    if (round % 2 === 0) await workload.fsync()
    await workload.commit(random.pick(['head', 'epoch']))
    await workload.retire()
    if (round === 2) await workload.reopen(true)
  }
  await workload.close()
}

/** What is sealed goes to a replica in a directory beside the store. */
export async function replicated(workload: Workload, random: Random): Promise<void> {
  await workload.start()
  const use = await ReplicatedUse.begin(workload)
  workload.alsoExamine = (tree, at) => use.examine(tree, at)
  for (let round = 0; round < 3; round += 1) {
    workload.steps(3 + random.below(4))
    await workload.commit('epoch')
    await workload.retire()
    if (round !== 1) await use.sync()
  }
  await use.close()
  await workload.close()
}

/** Retention lets epochs go; packs are dropped and rewritten, alone and while the head is written and sealed. */
export async function collected(workload: Workload, random: Random): Promise<void> {
  await workload.start()
  const chunks = Array.from({ length: 20 }, () => random.bytes(chunkBytes))
  const file = lastingFile(workload)
  // What is garbage is written again, too, also while it is taken away.
  const write = (): void => {
    workload.do({ do: 'write', inode: file(), at: random.below(8) * chunkBytes, bytes: random.pick(chunks) })
  }
  workload.meanwhile = write
  const seal = async (count: number): Promise<void> => {
    for (; count > 0; count -= 1) write()
    await workload.commit('epoch')
    await workload.retire()
  }
  workload.collects = { keepLast: 1, maxUnused: 0 }
  for (let epoch = 0; epoch < 2; epoch += 1) await seal(5)
  await workload.pin(true)
  await workload.collect({ keepLast: 2, maxUnused: 0 })
  await workload.fork()
  await seal(3)
  await workload.collect({ keepLast: 1, maxUnused: 0 }, () => seal(2))
  await workload.removeImage()
  await workload.reopen(true)
  write()
  await workload.fsync()
  await workload.collect({ keepLast: 1 })
  await seal(3)
  await workload.close()
}

/** Bits and whole chunks go bad while nobody has the store open; a repair puts them right and the store is used on. */
export async function repaired(workload: Workload, random: Random): Promise<void> {
  const { directory, recording: { env } } = workload
  const chunks = Array.from({ length: 20 }, () => random.bytes(chunkBytes))
  const copies = join(directory, '..', '..', 'copies')
  writeFileSync(copies, Buffer.concat(chunks))
  workload.repairFrom = [copies]
  await workload.start()
  const file = lastingFile(workload)
  let next = 0
  const seal = async (kind: 'head' | 'epoch'): Promise<void> => {
    for (let count = 0; count < 5; count += 1, next += 1) {
      workload.do({ do: 'write', inode: file(), at: random.below(8) * chunkBytes, bytes: chunks[next % chunks.length] })
    }
    await workload.commit(kind)
    await workload.retire()
  }
  for (const kind of ['epoch', 'epoch', 'head'] as const) await seal(kind)
  const layout = new ImageLayout(directory, 'vm')
  await expectHealed(workload.spoil(() => {
    for (const pack of packsOf(env, directory)) flipBit(env, pack, random)
    for (const path of [layout.epoch(1), layout.head, layout.identity]) flipBit(env, path, random)
  }))
  await seal('epoch')
  await expectHealed(workload.spoil(() => void packsOf(env, directory).find((pack) => spoilChunk(env, pack, random))))
  await seal('epoch')
  await workload.close()
}

/** The inode of a file to write to. Random changes may remove it, and a fork of an early epoch lacks it: then another. */
function lastingFile(workload: Workload): () => number {
  let made = 0
  let inode = 0
  return () => {
    if (workload.hasFile(inode)) return inode
    made += 1
    ;({ inode } = workload.do({ do: 'make', parent: modelRoot, name: `large ${made}`, kind: 'file', ...plain, inode: 0 }))
    return inode
  }
}

async function expectHealed(repair: Promise<CheckReport>): Promise<void> {
  const { damaged, healed } = await repair
  if (healed.length === 0) throw new Error('nothing was healed')
  if (damaged.length > 0) throw new Error(`damage is left: ${JSON.stringify(damaged)}`)
}

function shuffled<T>(items: T[], random: Random): T[] {
  const rest = [...items]
  return items.map(() => rest.splice(random.below(rest.length), 1)[0])
}
