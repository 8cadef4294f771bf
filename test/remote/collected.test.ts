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

/** A store with an image of one file, and a replica that has it. */
class Origin {
  readonly contents = randomBytes(700_000)
  readonly #t: ExecutionContext
  readonly #parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-collected-'))
  readonly url = pathToFileURL(join(this.#parent, 'r')).href
  host!: Host

  private constructor(t: ExecutionContext) {
    this.#t = t
  }

  static async start(t: ExecutionContext): Promise<Origin> {
    t.timeout(240_000)
    const origin = new Origin(t)
    t.teardown(() => fs.rmSync(origin.#parent, { recursive: true, force: true }))
    fs.writeFileSync(join(origin.#parent, 'base'), origin.contents)
    fs.mkdirSync(join(origin.#parent, 'r'))
    origin.host = await origin.#opened('origin')
    await origin.host.engine.createImage({ image: 'vm', base: [join(origin.#parent, 'base')] })
    await origin.host.replicas.add({ name: 'r', url: origin.url, authority: true, bytesPerSecondMax: null })
    await origin.host.replicas.sync({})
    return origin
  }

  async #opened(name: string): Promise<Host> {
    const directory = join(this.#parent, name)
    initStore(systemEnv(), directory)
    const host = await openHost(directory, { thread: true })
    this.#t.teardown(() => host.close({ force: true }))
    return host
  }

  /** What the replica says of a collection in both. `between` comes after the store's own half. */
  async collect(rules: object, between: () => Promise<void> = () => Promise.resolve()): Promise<unknown> {
    const { engine, replicas } = this.host
    const collect: typeof replicas.collect = async (args, options) => {
      await between()
      return replicas.collect(args, options)
    }
    const checked = checkArguments(garbageParameters, { maxUnused: 0, ...rules }) as GarbageRules
    return (await collectEverywhere({ engine, replicas: { collect } }, checked, false, {})).replicas[0]
  }

  restore(host: Host, full: boolean): Promise<unknown> {
    return host.restore({ url: this.url, target: 'vm', takeover: true, full })
  }

  spoilPack(): void {
    const [pack] = packPaths(join(this.#parent, 'origin'))
    const bytes = fs.readFileSync(pack)
    bytes.fill(0, 20_000, 20_100)
    fs.writeFileSync(pack, bytes)
  }

  check(): ReturnType<Host['engine']['check']> {
    return this.host.engine.check({ readData: true, repair: true })
  }

  async seal(note: string): Promise<void> {
    await this.host.engine.sealHead({ image: 'vm', note })
    await this.host.replicas.sync({})
  }

  /** The store is gone; another one gets all from the replica. */
  async isThere(epoch: string): Promise<void> {
    await this.host.close()
    const node = await this.#opened('node')
    await this.restore(node, true)
    const file = join(this.#parent, 'exported')
    await node.engine.exportFile({ epoch, path: '/base', file, format: 'raw' })
    this.#t.true(fs.readFileSync(file).equals(this.contents))
  }
}

test('an image that is restored between the two halves of a collection keeps what only the replica has', async (t) => {
  const origin = await Origin.start(t)
  await origin.host.engine.remove({ target: 'vm' })
  await origin.collect({})
  t.is(packPaths(origin.host.engine.directory).length, 0, 'the store has nothing of it')
  const collected = await origin.collect({}, async () => { await origin.restore(origin.host, false) })
  t.like(collected, { error: null, keptEpochs: 1, removedPacks: 0 })
  await origin.isThere('vm@0')
})

test('a pack that a repair puts away between the two halves of a collection stays where the replica has it', async (t) => {
  const origin = await Origin.start(t)
  const collected = await origin.collect({}, async () => {
    origin.spoilPack()
    await origin.host.reading.alsoFrom([origin.url])
    const { repairs } = await origin.check()
    t.true(repairs.some((each) => each.includes('quarantine')), repairs.join())
  })
  t.like(collected, { error: null })
  await origin.isThere('vm@0')
})

test('what a repair had from a replica is not taken away from there', async (t) => {
  const origin = await Origin.start(t)
  origin.spoilPack()
  await origin.host.reading.alsoFrom([origin.url])
  await origin.check()
  await origin.seal('after the repair')
  t.like(await origin.collect({ keepLast: 1 }), { error: null, removedEpochs: ['vm@0'] })
  await origin.isThere('vm@1')
})

test('what a store removed and had back from its replica is not taken away from there', async (t) => {
  const origin = await Origin.start(t)
  await origin.host.engine.remove({ target: 'vm' })
  await origin.collect({})
  await origin.restore(origin.host, true)
  await origin.seal('after the restore')
  t.like(await origin.collect({ keepLast: 1 }), { error: null, removedEpochs: ['vm@0'] })
  await origin.isThere('vm@1')
})

test('what a damaged store lacks is not taken away from its replica', async (t) => {
  const origin = await Origin.start(t)
  origin.spoilPack()
  // The replica is away.
  t.true((await origin.check()).damaged.length > 0)
  await origin.seal('after the damage')
  t.like(await origin.collect({ keepLast: 1 }), { error: null, removedEpochs: ['vm@0'] })
  await origin.host.reading.alsoFrom([origin.url])
  t.deepEqual((await origin.check()).damaged, [])
})
