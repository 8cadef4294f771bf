/** What an epoch holds for a machine: device state, facts, and what to fetch first when it resumes. */
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import test from 'ava'
import { machineStateBytesMax, noteBytesMax } from '../../src/limits.ts'
import { Random } from '../random.ts'
import { Work } from './work.ts'

test('a machine’s state comes back, and its next version costs what changed', async (t) => {
  const work = await Work.start(t)
  const state = new Random(3).bytes(300_000)
  const facts = { devices: ['a', 'b'], memory: ['/memory.raw'] }
  await work.commit('epoch', { machine: { state, facts, pauseMs: 3.25 } })
  const changed = Buffer.from(state)
  changed.writeUInt32LE(77, 200_000)
  const second = await work.commit('epoch', { machine: { state: changed, facts, pauseMs: 4 } })
  t.true(second.storedBytes < 8000, `${second.storedBytes} bytes`)
  const found = await work.engine.machineState({ epoch: 'vm@1' })
  t.true(Buffer.from(found.state).equals(state))
  t.deepEqual(found.facts, facts)
  t.true(Buffer.from((await work.engine.machineState({ epoch: 'vm@2' })).state).equals(changed))
  t.like(await work.engine.show({ epoch: 'vm@1' }), { pauseMs: 3.25, machine: true, state: { bytes: 300_000 }, machineFacts: facts })
  for (const size of [0, 1, 65_536, 65_537]) {
    const { epoch } = await work.commit('epoch', { machine: { state: Buffer.alloc(size, size % 2), facts: null, pauseMs: 0 } })
    const { state: back } = await work.engine.machineState({ epoch: `vm@${epoch!.number}` })
    t.true(Buffer.from(back).equals(Buffer.alloc(size, size % 2)), `${size} bytes`)
  }
  await work.commit('epoch')
  await t.throwsAsync(work.engine.machineState({ epoch: 'vm@0' }), { code: 'NOT_FOUND' })
  await work.engine.fork({ epoch: 'vm@1', image: 'fork' })
  t.true(Buffer.from((await work.engine.machineState({ epoch: 'fork@0' })).state).equals(state))
  t.deepEqual((await work.engine.check({ readData: true })).damaged, [])
})

test('what no record can hold is refused before anything is written', async (t) => {
  const work = await Work.start(t)
  work.write('disk', 'kept')
  const state = Buffer.alloc(machineStateBytesMax + 1)
  await t.throwsAsync(work.commit('epoch', { machine: { state, facts: {}, pauseMs: 0 } }), { code: 'USAGE' })
  const facts = 'x'.repeat(5_000_000)
  await t.throwsAsync(work.commit('epoch', { machine: { state: Buffer.alloc(1), facts, pauseMs: 0 } }), { code: 'USAGE' })
  await t.throwsAsync(work.commit('epoch', { note: 'x'.repeat(noteBytesMax + 1) }), { code: 'USAGE' })
  t.is((await work.commit('epoch', { note: 'x'.repeat(noteBytesMax) })).epoch?.number, 1)
  t.is((await work.exported('vm@1', '/disk')).toString(), 'kept')
})

test('a resume is told which chunks the last epochs changed, or the working set that was recorded', async (t) => {
  const work = await Work.start(t)
  work.file('memory', true)
  work.write('memory', Buffer.alloc(3 * 65_536, 1))
  await work.commit('epoch')
  for (const chunk of [40, 7, 900, 12]) {
    work.write('memory', 'x', chunk * 65_536)
    await work.commit('epoch')
  }
  const paths = ['/memory', '/nothing']
  const nothing = { path: '/nothing', chunks: [] }
  t.deepEqual(await work.engine.recentChunks({ epoch: 'vm@5', paths }), [{ path: '/memory', chunks: [7, 12, 900] }, nothing])
  t.deepEqual(await work.engine.recentChunks({ epoch: 'vm@2', paths }), [{ path: '/memory', chunks: [40] }, nothing])
  const set = [{ path: '/memory', chunks: [1, 2] }]
  await work.engine.saveWorkingSet({ epoch: 'vm@5', set })
  t.deepEqual(await work.engine.recentChunks({ epoch: 'vm@5', paths }), set)
  fs.writeFileSync(work.path('sets', '00000005'), '{"no')
  t.deepEqual((await work.engine.recentChunks({ epoch: 'vm@5', paths }))[0].chunks, [7, 12, 900])
})
