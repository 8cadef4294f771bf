/** Garbage is collected in a store and on its replica while an image comes back from there. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { collectEverywhere } from '../../src/daemon/garbage-run.ts'
import type { Host } from '../../src/daemon/host.ts'
import { openHost } from '../../src/daemon/local-host.ts'
import { checkArguments } from '../../src/daemon/parameters.ts'
import { type GarbageRules, garbageParameters } from '../../src/daemon/verbs/retention.ts'
import { systemEnv } from '../../src/env/system.ts'
import { initStore } from '../../src/store/identity.ts'
import { packPaths } from '../store/support.ts'

async function opened(t: ExecutionContext, directory: string): Promise<Host> {
  initStore(systemEnv(), directory)
  const host = await openHost(directory, { thread: true })
  t.teardown(() => host.close({ force: true }))
  return host
}

test('an image that is restored between the two halves of a collection keeps what only the replica has', async (t) => {
  t.timeout(240_000)
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-restored-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const contents = randomBytes(700_000)
  fs.writeFileSync(join(parent, 'base'), contents)
  fs.mkdirSync(join(parent, 'r'))
  const url = pathToFileURL(join(parent, 'r')).href
  const request = { url, target: 'vm', takeover: true }
  const rules = checkArguments(garbageParameters, { maxUnused: 0 }) as GarbageRules
  const host = await opened(t, join(parent, 'origin'))
  const { engine, replicas } = host
  await engine.createImage({ image: 'vm', base: [join(parent, 'base')] })
  await replicas.add({ name: 'r', url, authority: true, bytesPerSecondMax: null })
  await replicas.sync({})
  await engine.remove({ target: 'vm' })
  t.like(await collectEverywhere({ engine, replicas }, rules, false, {}), { droppedPacks: 1 })
  const collect: typeof replicas.collect = async (args, options) => {
    await host.restore({ ...request, full: false })
    return replicas.collect(args, options)
  }
  const collected = await collectEverywhere({ engine, replicas: { collect } }, rules, false, {})
  t.like(collected.replicas[0], { error: null, keptEpochs: 1, removedPacks: 0 })
  await host.close()
  const node = await opened(t, join(parent, 'node'))
  await node.restore({ ...request, full: true })
  const file = join(parent, 'exported')
  await node.engine.exportFile({ epoch: 'vm@0', path: '/base', file, format: 'raw' })
  t.true(fs.readFileSync(file).equals(contents))
})

test('a pack that a repair puts away between the two halves of a collection stays where the replica has it', async (t) => {
  t.timeout(240_000)
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-repaired-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const contents = randomBytes(700_000)
  fs.writeFileSync(join(parent, 'base'), contents)
  fs.mkdirSync(join(parent, 'r'))
  const url = pathToFileURL(join(parent, 'r')).href
  const rules = checkArguments(garbageParameters, { maxUnused: 0 }) as GarbageRules
  const host = await opened(t, join(parent, 'origin'))
  const { engine, replicas } = host
  await engine.createImage({ image: 'vm', base: [join(parent, 'base')] })
  await replicas.add({ name: 'r', url, authority: true, bytesPerSecondMax: null })
  await replicas.sync({})
  const collect: typeof replicas.collect = async (args, options) => {
    const [pack] = packPaths(join(parent, 'origin'))
    const bytes = fs.readFileSync(pack)
    bytes.fill(0, 20_000, 20_100)
    fs.writeFileSync(pack, bytes)
    await host.reading.alsoFrom([url])
    const { repairs } = await engine.check({ readData: true, repair: true })
    t.true(repairs.some((each) => each.includes('quarantine')), repairs.join())
    return replicas.collect(args, options)
  }
  t.like((await collectEverywhere({ engine, replicas: { collect } }, rules, false, {})).replicas[0], { error: null })
  await host.close()
  const node = await opened(t, join(parent, 'node'))
  await node.restore({ url, target: 'vm', takeover: true, full: true })
  const file = join(parent, 'exported')
  await node.engine.exportFile({ epoch: 'vm@0', path: '/base', file, format: 'raw' })
  t.true(fs.readFileSync(file).equals(contents))
})

test('what a repair had from a replica is not taken away from there', async (t) => {
  t.timeout(240_000)
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-repaired-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const contents = randomBytes(700_000)
  fs.writeFileSync(join(parent, 'base'), contents)
  fs.mkdirSync(join(parent, 'r'))
  const url = pathToFileURL(join(parent, 'r')).href
  const host = await opened(t, join(parent, 'origin'))
  const { engine, replicas } = host
  await engine.createImage({ image: 'vm', base: [join(parent, 'base')] })
  await replicas.add({ name: 'r', url, authority: true, bytesPerSecondMax: null })
  await replicas.sync({})
  const [pack] = packPaths(join(parent, 'origin'))
  const bytes = fs.readFileSync(pack)
  bytes.fill(0, 20_000, 20_100)
  fs.writeFileSync(pack, bytes)
  await host.reading.alsoFrom([url])
  await engine.check({ readData: true, repair: true })
  await engine.sealHead({ image: 'vm', note: 'after the repair' })
  await replicas.sync({})
  const rules = checkArguments(garbageParameters, { maxUnused: 0, keepLast: 1 }) as GarbageRules
  t.like((await collectEverywhere({ engine, replicas }, rules, false, {})).replicas[0], { error: null, removedEpochs: ['vm@0'] })
  await host.close()
  const node = await opened(t, join(parent, 'node'))
  await node.restore({ url, target: 'vm', takeover: true, full: true })
  const file = join(parent, 'exported')
  await node.engine.exportFile({ epoch: 'vm@1', path: '/base', file, format: 'raw' })
  t.true(fs.readFileSync(file).equals(contents))
})

test('what a store removed and had back from its replica is not taken away from there', async (t) => {
  t.timeout(240_000)
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-back-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const contents = randomBytes(700_000)
  fs.writeFileSync(join(parent, 'base'), contents)
  fs.mkdirSync(join(parent, 'r'))
  const url = pathToFileURL(join(parent, 'r')).href
  const request = { url, target: 'vm', takeover: true, full: true }
  const host = await opened(t, join(parent, 'origin'))
  const { engine, replicas } = host
  await engine.createImage({ image: 'vm', base: [join(parent, 'base')] })
  await replicas.add({ name: 'r', url, authority: true, bytesPerSecondMax: null })
  await replicas.sync({})
  await engine.remove({ target: 'vm' })
  const collect = async (keepLast?: number): Promise<unknown> => {
    const rules = checkArguments(garbageParameters, { maxUnused: 0, keepLast }) as GarbageRules
    return (await collectEverywhere({ engine, replicas }, rules, false, {})).replicas[0]
  }
  await collect()
  await host.restore(request)
  await engine.sealHead({ image: 'vm', note: 'after the restore' })
  await replicas.sync({})
  t.like(await collect(1), { error: null, removedEpochs: ['vm@0'] })
  await host.close()
  const node = await opened(t, join(parent, 'node'))
  await node.restore(request)
  const file = join(parent, 'exported')
  await node.engine.exportFile({ epoch: 'vm@1', path: '/base', file, format: 'raw' })
  t.true(fs.readFileSync(file).equals(contents))
})

test('what a damaged store lacks is not taken away from its replica', async (t) => {
  t.timeout(240_000)
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-lacking-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  fs.writeFileSync(join(parent, 'base'), randomBytes(700_000))
  fs.mkdirSync(join(parent, 'r'))
  const url = pathToFileURL(join(parent, 'r')).href
  const { engine, replicas, reading } = await opened(t, join(parent, 'origin'))
  await engine.createImage({ image: 'vm', base: [join(parent, 'base')] })
  await replicas.add({ name: 'r', url, authority: true, bytesPerSecondMax: null })
  await replicas.sync({})
  const [pack] = packPaths(join(parent, 'origin'))
  const bytes = fs.readFileSync(pack)
  bytes.fill(0, 20_000, 20_100)
  fs.writeFileSync(pack, bytes)
  // The replica is away.
  t.true((await engine.check({ readData: true, repair: true })).damaged.length > 0)
  await engine.sealHead({ image: 'vm', note: 'after the damage' })
  await replicas.sync({})
  const rules = checkArguments(garbageParameters, { maxUnused: 0, keepLast: 1 }) as GarbageRules
  t.like((await collectEverywhere({ engine, replicas }, rules, false, {})).replicas[0], { error: null, removedEpochs: ['vm@0'] })
  await reading.alsoFrom([url])
  t.deepEqual((await engine.check({ readData: true, repair: true })).damaged, [])
})
