/** Replicas of an encrypted store: what lies there says nothing, and nobody gets on without the domain's keys. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openHost } from '../../src/daemon/local-host.ts'
import { checkArguments } from '../../src/daemon/parameters.ts'
import { type GarbageRules, garbageParameters } from '../../src/daemon/verbs/retention.ts'
import type { Host } from '../../src/daemon/host.ts'
import { replicaImages } from '../../src/daemon/replica-images.ts'
import { systemEnv } from '../../src/env/system.ts'
import { codeOf } from '../../src/errors.ts'
import { decodeKeysFile } from '../../src/crypto/keys-file.ts'
import type { Secret } from '../../src/crypto/secret.ts'
import { initStore } from '../../src/store/identity.ts'
import { readSecret } from '../../src/store/keys.ts'

const env = systemEnv()
const markers = ['markedname', 'markednote', 'markedcontents', 'markedfile']
const now = { full: true, takeover: true }

class Place {
  readonly parent: string
  readonly keyFile: string
  readonly contents = Buffer.alloc(700_000)

  constructor(t: ExecutionContext) {
    this.parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-sealed-'))
    t.teardown(() => fs.rmSync(this.parent, { recursive: true, force: true }))
    this.keyFile = this.newKeyFile('key')
    for (let at = 0; at < this.contents.length; at += 20) this.contents.write(`markedcontents${at % 99_991}`, at)
    fs.mkdirSync(join(this.parent, 'base'))
    fs.writeFileSync(join(this.parent, 'base', 'markedfile'), this.contents)
  }

  newKeyFile(name: string): string {
    const path = join(this.parent, name)
    fs.writeFileSync(path, randomBytes(32))
    return path
  }

  newReplica(name: string): string {
    fs.mkdirSync(join(this.parent, name))
    return pathToFileURL(join(this.parent, name)).href
  }

  secret(keyFile = this.keyFile): Secret {
    return readSecret(env, { keyFile })
  }

  async open(t: ExecutionContext, store: string, secret?: Secret): Promise<Host> {
    const host = await openHost(join(this.parent, store), { thread: true, secret })
    t.teardown(() => host.close({ force: true }))
    return host
  }

  /** A new store; without a secret it is plain. */
  async make(t: ExecutionContext, store: string, secret?: Secret): Promise<Host> {
    initStore(env, join(this.parent, store), { secret })
    return this.open(t, store, secret)
  }

  /** Three epochs in a new store, on these replicas. */
  async seeded(t: ExecutionContext, names: readonly string[], secret: Secret | undefined = this.secret()): Promise<Host> {
    const host = await this.make(t, 'origin', secret)
    await host.engine.createImage({ image: 'markedname', base: [join(this.parent, 'base')] })
    await host.engine.sealHead({ image: 'markedname', note: 'markednote 1' })
    await host.engine.sealHead({ image: 'markedname', note: 'markednote 2' })
    for (const name of names) await add(host, name, this.newReplica(name))
    await host.replicas.sync({})
    return host
  }

  url(name: string): string {
    return pathToFileURL(join(this.parent, name)).href
  }

  async contentsOf(host: Host, epoch: string): Promise<Buffer> {
    const file = join(this.parent, `out-${process.hrtime.bigint()}`)
    await host.engine.exportFile({ epoch, path: '/markedfile', file, format: 'raw' })
    return fs.readFileSync(file)
  }
}

async function add(host: Host, name: string, url: string): Promise<void> {
  await host.replicas.add({ name, url, authority: false, bytesPerSecondMax: null })
}

async function codeFrom(call: Promise<unknown>): Promise<string | undefined> {
  return call.then(() => undefined, codeOf)
}

/** All files below a directory: their paths, and what they hold. What is put right meanwhile has temporary files. */
function filesOf(directory: string): Map<string, Buffer> {
  for (;;) {
    try {
      const names = fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })
      const files = names.filter((name) => fs.statSync(join(directory, name)).isFile()).sort()
      return new Map(files.map((name) => [name, fs.readFileSync(join(directory, name))]))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

function markersIn(directory: string): string[] {
  const found = new Set<string>()
  for (const [name, bytes] of filesOf(directory)) {
    for (const marker of markers) if (name.includes(marker) || bytes.includes(marker)) found.add(marker)
  }
  return [...found].sort()
}

/** Flips a bit in the middle of each file whose path fits. */
function flip(directory: string, pattern: RegExp): number {
  const hit = [...filesOf(directory)].filter(([name]) => pattern.test(name))
  for (const [name, bytes] of hit) {
    bytes[Math.floor(bytes.length / 2)] ^= 1
    fs.writeFileSync(join(directory, name), bytes)
  }
  return hit.length
}

test('no object of a replica holds plain contents, names or notes, as those of a plain store do', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  await place.seeded(t, ['sealed'])
  t.deepEqual(markersIn(join(place.parent, 'sealed')), [])
  const kinds = [...filesOf(join(place.parent, 'sealed')).keys()].map((name) => name.split('/')[0])
  t.deepEqual([...new Set(kinds)].sort(), ['domain.json', 'epochs', 'indexes', 'keys.json', 'packs'])
  const other = new Place(t)
  const host = await other.make(t, 'origin')
  await host.engine.createImage({ image: 'markedname', base: [join(other.parent, 'base')] })
  await host.engine.sealHead({ image: 'markedname', note: 'markednote' })
  await add(host, 'plain', other.newReplica('plain'))
  await host.replicas.sync({})
  t.deepEqual(markersIn(join(other.parent, 'plain')), [...markers].sort(), 'the scan finds what is there')
})

test('an empty node lists and restores with the right key, and with nothing else', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  const origin = await place.seeded(t, ['r'])
  await origin.close()
  const url = place.url('r')
  const wrong = place.newKeyFile('wrong')
  t.is(await codeFrom(replicaImages(url, {})), 'KEY_NEEDED')
  t.is(await codeFrom(replicaImages(url, {}, { keyFile: wrong })), 'KEY_WRONG')
  t.like((await replicaImages(url, {}, { keyFile: place.keyFile }))[0], { image: 'markedname', epochs: 3, newest: 2 })
  const node = await place.make(t, 'node')
  const before = filesOf(join(place.parent, 'node')).get('store.json')
  const request = { ...now, url, target: 'markedname' }
  t.is(await codeFrom(node.restore(request)), 'KEY_NEEDED')
  t.is(await codeFrom(node.restore({ ...request, keyFile: wrong })), 'KEY_WRONG')
  t.deepEqual(filesOf(join(place.parent, 'node')).get('store.json'), before, 'nothing was joined')
  t.false(fs.existsSync(join(place.parent, 'node', 'keys.json')))
  const { epoch } = await node.restore({ ...request, keyFile: place.keyFile })
  t.like(epoch, { image: 'markedname', number: 2, note: 'markednote 2' })
  t.true((await place.contentsOf(node, 'markedname@2')).equals(place.contents))
  t.like(await node.seal({ image: 'markedname' }), { epoch: { number: 3 } })
  await add(node, 'r', url)
  await node.replicas.sync({})
  t.like((await replicaImages(url, {}, { keyFile: place.keyFile }))[0], { newest: 3 })
  await node.close()
  t.is(await codeFrom(place.open(t, 'node')), 'KEY_NEEDED', 'what was restored is encrypted')
  const again = await place.open(t, 'node', place.secret())
  t.true((await place.contentsOf(again, 'markedname@3')).equals(place.contents))
  const found = markersIn(join(place.parent, 'node')).filter((marker) => marker !== 'markedname')
  t.deepEqual(found, [], 'all but the image’s directory is sealed here, too')
})

test('chunks that a restored image lacks are fetched when they are read', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  await (await place.seeded(t, ['r'])).close()
  const node = await place.make(t, 'node')
  const keyFile = place.keyFile
  const request = { full: false, takeover: true, as: 'fork', url: place.url('r'), target: 'markedname@1', keyFile }
  t.like(await node.restore(request), { isWhole: false, generation: null })
  t.true((await place.contentsOf(node, 'fork@0')).equals(place.contents))
})

test('another domain, and an encrypted one with a plain one, are refused before anything is written', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  await place.seeded(t, ['sealed'])
  const sealedFiles = filesOf(join(place.parent, 'sealed'))
  const plain = await place.make(t, 'plain store')
  await plain.engine.createImage({ image: 'p', base: [] })
  await add(plain, 'plain', place.newReplica('plain'))
  await plain.replicas.sync({})
  const plainFiles = filesOf(join(place.parent, 'plain'))
  const other = await place.make(t, 'other', place.secret())
  for (const [host, name] of [[plain, 'sealed'], [other, 'sealed'], [other, 'plain']] as const) {
    t.is(await codeFrom(add(host, 'another', place.url(name))), 'WRONG_DOMAIN', name)
    t.is(host.replicas.list().filter((each) => each.name === 'another').length, 0)
  }
  const keyFile = place.keyFile
  const sealed = { ...now, url: place.url('sealed'), target: 'markedname', keyFile }
  t.is(await codeFrom(plain.restore(sealed)), 'WRONG_DOMAIN', 'it holds something')
  t.is(await codeFrom(other.restore(sealed)), 'WRONG_DOMAIN', 'it has keys of its own')
  t.is(await codeFrom(other.restore({ ...now, url: place.url('plain'), target: 'p' })), 'WRONG_DOMAIN')
  t.is(await codeFrom(replicaImages(place.url('plain'), {}, { keyFile })), 'WRONG_DOMAIN', 'a secret for a plain one')
  t.deepEqual(filesOf(join(place.parent, 'sealed')), sealedFiles)
  t.deepEqual(filesOf(join(place.parent, 'plain')), plainFiles)
})

test('a bit that flipped in an object is healed from the other replica, or the object is refused', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  const origin = await place.seeded(t, ['r', 's'])
  const [r, s] = ['r', 's'].map((name) => join(place.parent, name))
  const keyFile = place.keyFile
  const restore = (host: Host, name: string) => {
    return host.restore({ ...now, as: `from${name}`, url: place.url(name), target: 'markedname', keyFile })
  }
  const right = filesOf(r)
  t.true(flip(r, /^packs\//) > 0)
  t.is(await codeFrom(restore(await place.make(t, 'alone'), 'r')), 'DAMAGED', 'there is no other replica')
  const node = await place.make(t, 'node')
  for (const name of ['r', 's']) {
    await node.restore({ full: false, takeover: true, as: `from${name}`, url: place.url(name), target: 'markedname', keyFile })
  }
  t.true((await place.contentsOf(node, 'fromr@0')).equals(place.contents), 'what r has wrong is had from s')
  const isHealed = (present: Map<string, Buffer>): boolean =>
    [...right].every(([name, bytes]) => bytes.equals(present.get(name) ?? Buffer.alloc(0)))
  while (!isHealed(filesOf(r))) await sleep(50)
  t.true(flip(r, /^indexes\//) > 0)
  t.is(await codeFrom(restore(await place.make(t, 'node1'), 'r')), 'DAMAGED', 'an index run')
  t.true(flip(s, /^epochs\/.*\.\d+$/) > 0)
  t.is(await codeFrom(restore(await place.make(t, 'node2'), 's')), 'DAMAGED', 'a batch')
  t.true(flip(s, /owner$/) > 0)
  const [listed] = await replicaImages(place.url('s'), {}, { keyFile })
  t.regex(listed.damaged ?? '', /changed/)
  t.true(flip(s, /^keys\.json$/) > 0)
  t.true(['KEY_WRONG', 'DAMAGED'].includes(await codeFrom(replicaImages(place.url('s'), {}, { keyFile })) ?? ''))
  await origin.replicas.sync({}).catch(() => undefined)
  t.is((await replicaImages(place.url('s'), {}, { keyFile })).length, 1, 'the store has put its keys there again')
  t.true(flip(s, /^domain\.json$/) > 0)
  t.true(['BAD_FORMAT', 'DAMAGED'].includes(await codeFrom(replicaImages(place.url('s'), {}, { keyFile })) ?? ''))
})

test('a changed secret reaches the replicas, and an older copy of the keys does not come back', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  const origin = await place.seeded(t, ['r'])
  fs.cpSync(join(place.parent, 'origin', 'keys.json'), join(place.parent, 'old keys'))
  const next = place.newKeyFile('next')
  await origin.engine.keys({ action: 'change', secret: { keyFile: next } })
  await origin.replicas.sync({})
  t.is(await codeFrom(replicaImages(place.url('r'), {}, { keyFile: place.keyFile })), 'KEY_WRONG')
  t.is((await replicaImages(place.url('r'), {}, { keyFile: next })).length, 1)
  await origin.close()
  fs.copyFileSync(join(place.parent, 'old keys'), join(place.parent, 'origin', 'keys.json'))
  const late = await place.open(t, 'origin', place.secret())
  await late.replicas.sync({})
  const there = decodeKeysFile(fs.readFileSync(join(place.parent, 'r', 'keys.json')))
  t.is(there.revision, 2)
  t.is((await replicaImages(place.url('r'), {}, { keyFile: next })).length, 1)
})

test('after new keys an empty node reads what was sealed before and what was sealed since', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  const origin = await place.seeded(t, ['r'])
  for (let round = 0; round < 2; round++) {
    t.like(await origin.rotateKeys(), { keyId: round + 2 })
    await origin.engine.sealHead({ image: 'markedname', note: 'since' })
    await origin.replicas.sync({})
  }
  await origin.close()
  t.deepEqual(markersIn(join(place.parent, 'r')), [])
  const node = await place.make(t, 'node')
  const request = { ...now, url: place.url('r'), target: 'markedname', keyFile: place.keyFile }
  t.like((await node.restore(request)).epoch, { number: 4, note: 'since' })
  for (const number of [0, 4]) t.true((await place.contentsOf(node, `markedname@${number}`)).equals(place.contents))
})

test('garbage of a sealed replica is collected, and what stays opens', async (t) => {
  t.timeout(480_000)
  const place = new Place(t)
  const host = await place.seeded(t, ['sealed'])
  const rules = checkArguments(garbageParameters, { keepLast: 1, maxUnused: 0 }) as GarbageRules
  const [report] = (await host.garbage.collect(rules, false)).replicas
  t.like(report, { error: null, removedEpochs: ['markedname@0', 'markedname@1'], keptEpochs: 1 })
  t.deepEqual(markersIn(join(place.parent, 'sealed')), [])
  await host.close()
  const other = await openHost(join(place.parent, 'node'), { thread: true, secret: undefined }).catch(() => null)
  t.is(other, null)
  initStore(env, join(place.parent, 'node'))
  const node = await place.open(t, 'node')
  await node.restore({ url: place.url('sealed'), target: 'markedname', keyFile: place.keyFile, ...now })
  t.true(place.contents.equals(await place.contentsOf(node, 'markedname@2')))
})
