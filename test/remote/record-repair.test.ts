/** `check --repair` on stores with replicas: records of epochs come back from them, on plain and encrypted stores. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Host } from '../../src/daemon/host.ts'
import { openHost } from '../../src/daemon/local-host.ts'
import { checkedArguments } from '../../src/daemon/verbs.ts'
import { storeVerbs } from '../../src/daemon/verbs/stores.ts'
import { systemEnv } from '../../src/env/system.ts'
import type { Secret } from '../../src/crypto/secret.ts'
import type { CheckReport } from '../../src/image/types.ts'
import { initStore } from '../../src/store/identity.ts'
import { readSecret } from '../../src/store/keys.ts'

const env = systemEnv()

class Place {
  readonly parent: string
  readonly secret: Secret | undefined
  readonly #t: ExecutionContext

  constructor(t: ExecutionContext, isEncrypted: boolean) {
    this.#t = t
    this.parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-records-'))
    t.teardown(() => fs.rmSync(this.parent, { recursive: true, force: true }))
    fs.writeFileSync(join(this.parent, 'key'), randomBytes(32))
    this.secret = isEncrypted ? readSecret(env, { keyFile: join(this.parent, 'key') }) : undefined
  }

  /** A new store, or one that is there. */
  async open(store: string): Promise<Host> {
    if (!fs.existsSync(join(this.parent, store))) initStore(env, join(this.parent, store), { secret: this.secret })
    // As a daemon does it, and as a short command does.
    const thread = this.secret !== undefined
    const host = await openHost(join(this.parent, store), { thread, secret: this.secret })
    this.#t.teardown(() => host.close({ force: true }))
    return host
  }

  url(name: string): string {
    fs.mkdirSync(join(this.parent, name), { recursive: true })
    return pathToFileURL(join(this.parent, name)).href
  }

  /** A store with epochs 0 to `last` of an image `web`, all on its replica. */
  async seeded(last: number, url: string): Promise<Host> {
    const host = await this.open('store')
    await host.engine.createImage({ image: 'web', base: [] })
    for (let number = 1; number <= last; number++) await host.engine.sealHead({ image: 'web', note: `epoch ${number}` })
    await host.replicas.add({ name: 'near', url, authority: false, bytesPerSecondMax: null })
    await host.replicas.sync({})
    return host
  }

  /** Cuts records to nothing, and opens the store again. */
  async lose(host: Host, numbers: readonly number[], change = (path: string): void => fs.truncateSync(path, 0)): Promise<Host> {
    const { directory } = host.engine
    await host.close({ force: true })
    for (const number of numbers) change(join(directory, 'images', 'web', 'epochs', String(number).padStart(8, '0')))
    return this.open(directory.slice(this.parent.length + 1))
  }
}

async function check(host: Host, args: { repair: boolean; from?: string[] }): Promise<CheckReport> {
  const { check: verb } = storeVerbs
  return verb.run({ host }, checkedArguments(verb as never, args) as never)
}

function places({ damaged }: CheckReport): string[] {
  return damaged.map(({ where }) => where)
}

async function notesOf(host: Host): Promise<string[]> {
  return (await host.engine.log({ image: 'web' })).map(({ note }) => note)
}

for (const isEncrypted of [false, true]) {
  const kind = isEncrypted ? 'an encrypted store' : 'a plain store'

  test(`${kind} gets records back from its replica, and from one that is named`, async (t) => {
    const place = new Place(t, isEncrypted)
    const url = place.url('near')
    let host = await place.lose(await place.seeded(4, url), [0, 2, 4])
    t.deepEqual(places(await check(host, { repair: false })), ['web@0', 'web@2', 'web@4', 'the head of web'])
    const report = await check(host, { repair: true })
    t.deepEqual(places(report), [], JSON.stringify(report))
    t.is(report.repairs.filter((each) => each.includes(`from ${url}`)).length, 3, report.repairs.join())
    t.deepEqual(await notesOf(host), ['', 'epoch 1', 'epoch 2', 'epoch 3', 'epoch 4'])
    await host.replicas.remove({ name: 'near' })
    host = await place.lose(host, [1])
    t.deepEqual(places(await check(host, { repair: true })), ['web@1'])
    const elsewhere = await check(host, { repair: true, from: [place.url('empty')] })
    t.deepEqual(places(elsewhere), ['web@1'])
    t.true(elsewhere.notes.some((note) => note.includes('there is no replica')), elsewhere.notes.join())
    t.deepEqual(places(await check(host, { repair: true, from: [url] })), [])
    t.is((await host.engine.sealHead({ image: 'web' })).number, 5)
  })

  test(`${kind} takes no record of a writer that took its image over`, async (t) => {
    const place = new Place(t, isEncrypted)
    const url = place.url('near')
    let host = await place.seeded(2, url)
    initStore(env, join(place.parent, 'taker'), {})
    const taker = await openHost(join(place.parent, 'taker'), { thread: false })
    t.teardown(() => taker.close({ force: true }))
    const keyFile = isEncrypted ? join(place.parent, 'key') : undefined
    await taker.restore({ url, target: 'web', full: true, takeover: true, keyFile })
    await taker.engine.sealHead({ image: 'web', note: 'the taker’s epoch 3' })
    await taker.replicas.add({ name: 'near', url, authority: false, bytesPerSecondMax: null })
    await taker.replicas.sync({})
    // Nobody told this store yet that it is fenced.
    await host.engine.sealHead({ image: 'web', note: 'epoch 3' })
    host = await place.lose(host, [2])
    t.deepEqual(places(await check(host, { repair: true })), [], 'epoch 3 names the one that both have')
    host = await place.lose(host, [3])
    t.deepEqual(places(await check(host, { repair: true })), ['web@3', 'the head of web'])
    t.deepEqual(await notesOf(taker), ['', 'epoch 1', 'epoch 2', 'the taker’s epoch 3'])
  })
}

test('a replica of another domain is asked for nothing', async (t) => {
  const [place, other] = [new Place(t, false), new Place(t, false)]
  const url = other.url('near')
  await other.seeded(1, url)
  const host = await place.lose(await place.seeded(1, place.url('near')), [1])
  await host.replicas.remove({ name: 'near' })
  const report = await check(host, { repair: true, from: [url] })
  t.deepEqual(places(report), ['web@1', 'the head of web'])
  t.true(report.notes.some((note) => note.includes('not of this store')), report.notes.join())
})

test('an epoch that is not here, and that a replica lists, is told of: only what nothing here knows of is damage', async (t) => {
  const place = new Place(t, false)
  const url = place.url('near')
  let host = await place.seeded(6, url)
  await host.engine.remove({ target: 'web@1' })
  host = await place.lose(host, [3, 4], (path) => fs.rmSync(path))
  const before = await check(host, { repair: false })
  t.deepEqual([before.damaged, before.notes], [[], []], 'nobody was asked')
  const { damaged, notes } = await check(host, { repair: true })
  t.deepEqual(damaged, [])
  t.is(notes.length, 1, notes.join())
  t.regex(notes[0], /^file:.*near still lists web@1, web@3 to web@4, which this store does not have: removed here, .* 'holdfast restore file:.*near web@1 --as NEW'/)
  await host.restore({ url, target: 'web@3', as: 'found', full: true, takeover: false })
  t.is((await host.engine.show({ epoch: 'found@0' })).note, 'epoch 3')
})

test('the newest epochs are lost where a replica has them of this store, and its head does not know of them', async (t) => {
  const place = new Place(t, false)
  const host = await place.lose(await place.seeded(4, place.url('near')), [3, 4], (path) => fs.rmSync(path))
  const { damaged, notes } = await check(host, { repair: true })
  t.deepEqual(damaged.map(({ what, where, epochs }) => [what, where, epochs]), [['epoch', 'web@3', ['web@3', 'web@4']]])
  t.regex(damaged[0].message, /has web@3 to web@4 of this store, and nothing here knows of it/)
  t.deepEqual(notes.filter((note) => note.includes('lists')), [])
})

test('what was removed in turn, and what another store has by now, is not missed', async (t) => {
  const place = new Place(t, false)
  const url = place.url('near')
  let host = await place.seeded(3, url)
  await host.engine.remove({ target: 'web@3' })
  t.deepEqual((await check(host, { repair: true })).damaged, [], 'the head knows of epoch 3')
  const taker = await place.open('taker')
  await taker.restore({ url, target: 'web', full: true, takeover: true })
  await taker.engine.sealHead({ image: 'web' })
  await taker.replicas.add({ name: 'near', url, authority: false, bytesPerSecondMax: null })
  await taker.replicas.sync({})
  host = await place.lose(host, [])
  const { damaged, notes } = await check(host, { repair: true })
  t.deepEqual([damaged, notes.filter((note) => note.includes('lists'))], [[], []])
  t.deepEqual((await check(taker, { repair: true })).damaged, [])
})
