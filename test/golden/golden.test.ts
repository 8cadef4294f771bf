/** Bytes that version 1 wrote are read as what they were, and written again the same; its stores open and go on. */
import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { rebuildIndex } from '../../src/store/open.ts'
import { Work } from '../image/work.ts'
import { goldenFormats } from './formats-v1.ts'
import { base, disks, machineFacts, machineState, memory, workingSet } from './store-v1.ts'

const bytesOf = JSON.parse(fs.readFileSync(join(import.meta.dirname, 'formats-v1.json'), 'utf8')) as Record<string, string>

test('every small format, as version 1 wrote it', (t) => {
  t.deepEqual(Object.keys(bytesOf).sort(), goldenFormats.map(({ name }) => name).sort())
  for (const { name, encode, decode, value } of goldenFormats) {
    const bytes = Buffer.from(bytesOf[name], 'hex')
    t.is(encode().toString('hex'), bytes.toString('hex'), name)
    if (decode !== undefined) t.deepEqual(decode(bytes), value, name)
  }
})

function unpacked(t: ExecutionContext): string {
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-golden-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const directory = join(parent, 'store')
  fs.mkdirSync(directory)
  execFileSync('tar', ['-xzf', join(import.meta.dirname, 'store-v1.tar.gz'), '-C', directory])
  return directory
}

async function opened(t: ExecutionContext, directory: string): Promise<Work> {
  const engine = await openLocalEngine(directory)
  t.teardown(() => engine.close())
  const rig = { parent: join(directory, '..'), directory, engine, remove: () => engine.close() }
  return new Work(rig, 'vm')
}

async function holdsAll(t: ExecutionContext, work: Work): Promise<void> {
  const { engine } = work
  t.deepEqual((await engine.check({ readData: true })).damaged, [])
  const log = await engine.log({ image: 'vm' })
  t.deepEqual(log.slice(0, 3).map(({ number, note, pinned, machine }) => [number, note, pinned, machine]),
    [[0, '', false, false], [1, 'the first', true, false], [2, 'with a machine', false, true]])
  t.deepEqual((await engine.images()).map(({ image, origin }) => [image, origin.kind]), [['fork', 'fork'], ['vm', 'base']])
  for (const [name, bytes] of Object.entries(base)) t.true((await work.exported('vm@0', `/${name}`)).equals(bytes), name)
  for (const epoch of [1, 2]) t.true((await work.exported(`vm@${epoch}`, '/disk')).equals(disks[epoch - 1]), `vm@${epoch}`)
  t.true((await work.exported('fork@0', '/disk')).equals(disks[1]))
  const { state, facts } = await engine.machineState({ epoch: 'vm@2' })
  t.true(Buffer.from(state).equals(machineState))
  t.deepEqual(facts, machineFacts)
  t.deepEqual(await engine.recentChunks({ epoch: 'vm@2', paths: ['/memory'] }), workingSet)
}

for (const indexed of ['its own index', 'its index rebuilt', 'no index'] as const) {
  test(`a store that version 1 wrote opens with ${indexed}, is read, written to and sealed`, async (t) => {
    const directory = unpacked(t)
    if (indexed === 'no index') fs.rmSync(join(directory, 'index'), { recursive: true })
    if (indexed === 'its index rebuilt') await rebuildIndex(systemEnv(), directory)
    const work = await opened(t, directory)
    await holdsAll(t, work)
    await work.open()
    t.true(work.read('disk').equals(disks[3]), 'the log is recovered')
    const half = Buffer.concat([memory.subarray(1000), memory.subarray(2000)])
    t.true(work.read('memory').equals(half))
    work.write('disk', 'written by a later version')
    t.is((await work.commit('epoch')).epoch?.number, 3)
    await work.restart()
    await holdsAll(t, work)
    t.is((await work.exported('vm@3', '/disk')).toString('latin1', 0, 26), 'written by a later version')
  })
}
