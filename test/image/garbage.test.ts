import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { epochIdentityOf } from '../../src/format/epoch.ts'
import { logRecordHeaderBytes } from '../../src/format/log.ts'
import { encodeLeaf } from '../../src/format/node.ts'
import { Marking } from '../../src/image/collection/mark.ts'
import { writeData } from '../../src/image/head-data.ts'
import type { Engine } from '../../src/image/engine.ts'
import { chunkBytes } from '../../src/limits.ts'
import { Random } from '../random.ts'
import { type Rig, makeRig, openHead } from './rig.ts'

/** An image whose file changes from epoch to epoch. */
async function changing(t: ExecutionContext, image: string, epochs: number): Promise<{ rig: Rig; engine: Engine; random: Random }> {
  const random = Random.announced(t)
  const rig = await makeRig()
  t.teardown(() => rig.remove())
  fs.writeFileSync(join(rig.parent, 'base'), random.bytes(8 * chunkBytes))
  await rig.engine.createImage({ image, base: [join(rig.parent, 'base')] })
  for (let epoch = 1; epoch < epochs; epoch++) await change(rig.engine, image, random)
  return { rig, engine: rig.engine, random }
}

async function change(engine: Engine, image: string, random: Random): Promise<void> {
  const start = await engine.openHead({ image })
  const rig = await openHead(start)
  const message = Buffer.concat([Buffer.alloc(logRecordHeaderBytes), random.bytes(chunkBytes)])
  const at = { chunk: random.below(8), within: 0 }
  writeData(rig.head, rig.head.inode(2)!, at, message, logRecordHeaderBytes, chunkBytes, 0n)
  await engine.commit({ image, segment: rig.head.rotate(), kind: 'epoch' })
  await rig.close()
  await engine.closeHead({ image })
}

async function exported(engine: Engine, rig: Rig, epoch: string): Promise<Buffer> {
  const file = join(rig.parent, `export-${epoch}`)
  await engine.exportFile({ epoch, path: '/base', file, format: 'raw' })
  return fs.readFileSync(file)
}

test('epochs that no rule keeps go, and their bytes; the others read as before', async (t) => {
  const { rig, engine } = await changing(t, 'vm', 12)
  await engine.pin({ epoch: 'vm@2', pinned: true })
  await engine.fork({ epoch: 'vm@4', image: 'fork' })
  const kept = ['vm@2', 'vm@4', 'vm@9', 'vm@10', 'vm@11', 'fork@0']
  const before = await Promise.all(kept.map((epoch) => exported(engine, rig, epoch)))
  for (const epoch of kept) fs.rmSync(join(rig.parent, `export-${epoch}`))
  const dry = await engine.collectGarbage({ keepLast: 3, maxUnused: 0, dryRun: true })
  t.is((await engine.log({ image: 'vm' })).length, 12)
  t.deepEqual(dry.reasons['vm@4'], ['fork fork'])
  t.deepEqual(dry.reasons['vm@2'], ['pinned'])
  const report = await engine.collectGarbage({ keepLast: 3, maxUnused: 0 })
  t.deepEqual(report.removedEpochs, dry.removedEpochs)
  t.like(report, { keptEpochs: 6, liveRecords: dry.liveRecords, left: [] })
  t.deepEqual((await engine.log({ image: 'vm' })).map(({ number }) => number), [2, 4, 9, 10, 11])
  t.true(report.freedBytes > chunkBytes, `${report.freedBytes}`)
  for (const [at, epoch] of kept.entries()) t.true((await exported(engine, rig, epoch)).equals(before[at]), epoch)
  t.deepEqual((await engine.check({ readData: true })).damaged, [])
  t.like(await engine.collectGarbage({ maxUnused: 0 }), { freedBytes: 0, droppedPacks: 0, rewrittenPacks: 0 })
})

test('what is exported, or rolled back to, while its epoch would go, stays', async (t) => {
  const { rig, engine } = await changing(t, 'vm', 6)
  const expected = await exported(engine, rig, 'vm@1')
  fs.rmSync(join(rig.parent, 'export-vm@1'))
  const exporting = exported(engine, rig, 'vm@1')
  const rollback = engine.rollback({ epoch: 'vm@2', discard: false })
  const report = await engine.collectGarbage({ keepLast: 1, maxUnused: 0 })
  await rollback
  t.true((await exporting).equals(expected))
  t.false(report.removedEpochs.some(({ epoch }) => epoch === 'vm@2'))
  await change(engine, 'vm', new Random(1))
  t.deepEqual((await engine.check({ readData: true })).damaged, [])
})

test('rules for one image leave the others alone', async (t) => {
  const { engine } = await changing(t, 'vm', 4)
  await engine.fork({ epoch: 'vm@0', image: 'other' })
  await engine.sealHead({ image: 'other' })
  const report = await engine.collectGarbage({ keepLast: 1, images: ['vm'] })
  t.deepEqual(report.removedEpochs.map(({ epoch }) => epoch), ['vm@1', 'vm@2'])
  await t.throwsAsync(engine.collectGarbage({ images: ['none'] }), { code: 'NOT_FOUND' })
})

test('nothing is collected while it cannot be told what is needed', async (t) => {
  const { rig, engine } = await changing(t, 'vm', 3)
  const record = join(rig.directory, 'images/vm/epochs/00000001')
  const bytes = fs.readFileSync(record)
  fs.writeFileSync(record, Buffer.concat([bytes.subarray(0, 100), Buffer.alloc(bytes.length - 100)]))
  await t.throwsAsync(engine.collectGarbage({ keepLast: 1 }), { code: 'DAMAGED', message: /vm@1.*holdfast rm vm@1/ })
  t.is((await engine.log({ image: 'vm' })).length, 3)
  await engine.remove({ target: 'vm@1' })
  t.like(await engine.collectGarbage({ keepLast: 1 }), { keptEpochs: 1 })
})

test('collections and checks do not run at once', async (t) => {
  const { engine } = await changing(t, 'vm', 3)
  const first = engine.collectGarbage({})
  await t.throwsAsync(engine.collectGarbage({}), { code: 'BUSY' })
  await t.throwsAsync(engine.check({ readData: false }), { code: 'BUSY' })
  await first
  await engine.check({ readData: false })
  const controller = new AbortController()
  const aborted = engine.collectGarbage({ keepLast: 1 }, { signal: controller.signal })
  controller.abort()
  await t.throwsAsync(aborted, { code: 'ABORTED' })
  await engine.collectGarbage({ keepLast: 1 })
})

test('what a restore found here while garbage was collected stays', async (t) => {
  const { rig, engine } = await changing(t, 'vm', 1)
  const record = epochIdentityOf(fs.readFileSync(join(rig.directory, 'images/vm/epochs/00000000')))
  await engine.remove({ target: 'vm' })
  let absent: Promise<{ ids: Uint8Array }> | undefined
  const progress = ({ step }: { step: string }): void => {
    if (absent !== undefined || !step.startsWith('looking through')) return
    absent = engine.installFork({ image: 'back', record, source: 'vm@0' }).then(() => engine.absentChunks({ epoch: 'back@0' }))
  }
  await engine.collectGarbage({ maxUnused: 0 }, { progress })
  t.is((await absent)?.ids.length, 0)
  t.deepEqual((await engine.check({ readData: true })).damaged, [])
})

test('a tree from elsewhere that names chunks by other than their ids is damage', async (t) => {
  for (const bytes of [1, 5, 31, 33]) {
    const leaf = encodeLeaf([0], [Buffer.alloc(bytes, 1)])
    const reader = { read: () => leaf, has: () => true }
    const marking = new Marking({ reader, keep: () => undefined, secret: 1, mayBeAbsent: false, call: {} })
    await t.throwsAsync(marking.data(Buffer.alloc(32, 7)), { code: 'DAMAGED' }, `${bytes} bytes`)
  }
})
