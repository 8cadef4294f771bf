/** What every replica must do: one suite, registered for each kind. */
import type { ExecutionContext, TestFn } from 'ava'
import { Buffer } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { HoldfastError, codeOf } from '../../src/errors.ts'
import { MIB } from '../../src/limits.ts'
import type { Replica, ReplicaEntry } from '../../src/replica/replica.ts'
import { Random } from '../random.ts'

export interface Subject {
  /** Stands before each test's name. */
  readonly name: string
  /** Registers a test: `test`, `test.serial`, or a `skip` of them. */
  readonly register: TestFn
  /** A replica with a new and empty root; closed and removed when the test ends. */
  open(t: ExecutionContext): Promise<Replica>
}

/** How often two race for one name: each round is a few milliseconds, on HDFS a few dozen. */
const rounds = 25

export function contract(subject: Subject): void {
  const law = (title: string, body: (t: ExecutionContext, replica: Replica) => Promise<void>): void => {
    subject.register(`${subject.name}: ${title}`, async (t) => {
      t.timeout(480_000)
      await body(t, await subject.open(t))
    })
  }
  objects(law)
  listings(law)
  generations(law)
  failures(law)
}

type Law = (title: string, body: (t: ExecutionContext, replica: Replica) => Promise<void>) => void

function objects(law: Law): void {
  law('what is put is read, whole and in ranges, of all sizes', async (t, replica) => {
    const random = Random.announced(t)
    for (const size of [0, 1, 511, 512, 513, 4096, 65_536 + 7, 3 * MIB + 5]) {
      const bytes = filled(random, size)
      t.deepEqual(await replica.put(`o${size}`, bytes), { bytes: size, crc32: crc32(bytes) })
      t.true(bytes.equals(await readAll(replica, `o${size}`)), `${size}`)
      t.like(await replica.stat(`o${size}`), { name: `o${size}`, kind: 'object', bytes: size })
      for (let times = 0; times < 3; times++) {
        const offset = random.below(size + 10)
        const count = random.below(size + 10)
        const expected = bytes.subarray(offset, offset + count)
        t.true(expected.equals(await readAll(replica, `o${size}`, { offset, bytes: count })), `${size}: ${offset}, ${count}`)
      }
    }
    const { have, wanted } = await replica.copies('o512')
    t.true(have >= 1 && wanted >= 1)
  })

  law('a source in pieces is put, one that is not what it says is refused and leaves nothing', async (t, replica) => {
    const pieces = [Buffer.alloc(700, 1), Buffer.alloc(0), Buffer.alloc(1_300_000, 2), Buffer.from('end')]
    const whole = Buffer.concat(pieces)
    const source = { bytes: whole.length, crc32: crc32(whole), open: () => pieces }
    t.is((await replica.put('right', source)).crc32, crc32(whole))
    t.true(whole.equals(await readAll(replica, 'right')))
    const wrong = {
      short: { ...source, bytes: whole.length + 1, crc32: undefined },
      long: { ...source, bytes: whole.length - 1, crc32: undefined },
      other: { ...source, crc32: crc32(whole) ^ 1 },
    }
    for (const [name, each] of Object.entries(wrong)) {
      t.is(await codeFrom(replica.put(name, each)), 'DAMAGED', name)
      t.is(await replica.stat(name), null)
    }
    const broken = new Error('the source broke')
    const breaking = { bytes: 10, open: async function* () { yield Buffer.alloc(3); throw broken } }
    t.is(await t.throwsAsync(replica.put('broken', breaking)), broken)
    t.deepEqual(await names(replica, ''), ['right'])
  })

  law('a put never overwrites, unless it is to replace', async (t, replica) => {
    await replica.put('a', Buffer.from('one'))
    t.is(await codeFrom(replica.put('a', Buffer.from('two'))), 'EXISTS')
    t.is(String(await readAll(replica, 'a')), 'one')
    await replica.put('a', Buffer.from('three'), { replace: true })
    t.is(String(await readAll(replica, 'a')), 'three')
    await replica.put('b', Buffer.from('new'), { replace: true })
    t.deepEqual(await names(replica, ''), ['a', 'b'])
  })

  law('of many who put one name one succeeds, and its bytes are there', async (t, replica) => {
    const outcomes = await Promise.all(Array.from({ length: 6 }, (_, each) => codeFrom(replica.put('n', Buffer.from(`${each}`)))))
    const winners = outcomes.flatMap((code, each) => code === undefined ? [`${each}`] : [])
    t.is(winners.length, 1)
    t.is(String(await readAll(replica, 'n')), winners[0])
    t.deepEqual(outcomes.filter((code) => code !== undefined), Array.from({ length: 5 }, () => 'EXISTS'))
  })

  law('what is removed is gone; removing nothing is no failure', async (t, replica) => {
    await replica.makeDirectory('d/e')
    await replica.put('d/e/o', Buffer.from('x'))
    t.is(await codeFrom(replica.remove('d/e')), 'EXISTS')
    await replica.remove('d/e/o')
    await replica.remove('d/e/o')
    await replica.remove('d/e')
    t.is(await replica.stat('d/e'), null)
    t.like(await replica.stat('d'), { name: 'd', kind: 'directory' })
  })

  law('usage counts objects and bytes', async (t, replica) => {
    await replica.makeDirectory('d')
    await replica.put('d/a', Buffer.alloc(1000))
    await replica.put('b', Buffer.alloc(24))
    const usage = await replica.usage()
    t.like(usage, { objectCount: 2, objectBytes: 1024 })
    t.true(usage.freeBytes === null || usage.freeBytes > 0)
  })
}

function listings(law: Law): void {
  law('a directory lists what is in it, in order, and nothing of the replica’s own', async (t, replica) => {
    await replica.makeDirectory('d/sub')
    await replica.makeDirectory('d/sub')
    for (const name of ['b', 'B', 'a=1', 'a', 'a,2', '_', '9']) await replica.put(`d/${name}`, Buffer.from(name))
    const listed = await collect(replica.list('d'))
    t.deepEqual(listed.map(({ name }) => name), ['9', 'B', '_', 'a', 'a,2', 'a=1', 'b', 'sub'])
    t.like(listed.at(-1), { kind: 'directory', bytes: 0 })
    t.like(listed.at(-3), { kind: 'object', bytes: 3 })
    t.deepEqual(await names(replica, ''), ['d'])
    t.deepEqual(await names(replica, 'd/sub'), [])
    t.is(await codeFrom(collect(replica.list('none'))), 'NOT_FOUND')
    t.is(await codeFrom(collect(replica.list('d/a'))), 'NOT_FOUND')
    t.is(await codeFrom(replica.makeDirectory('d/a')), 'EXISTS')
  })

  law('temporaries are taken away by age', async (t, replica) => {
    await replica.put('a', Buffer.from('x'))
    t.is(await replica.removeTemporaries(0), 0)
    t.is(await replica.removeTemporaries(3_600_000), 0)
    t.deepEqual(await names(replica, ''), ['a'])
  })
}

function generations(law: Law): void {
  law('a generation is opened once, published into, closed once, and then fences', async (t, replica) => {
    await replica.makeDirectory('epochs/vm')
    await replica.openGeneration('epochs/vm/g1', 'owner', Buffer.from('me'))
    t.is(await codeFrom(replica.openGeneration('epochs/vm/g1', 'owner', Buffer.from('you'))), 'EXISTS')
    await replica.publish('epochs/vm/g1', 'e1', Buffer.from('first'))
    t.is(await codeFrom(replica.publish('epochs/vm/g1', 'e1', Buffer.from('again'))), 'EXISTS')
    t.is(await replica.closeGeneration('epochs/vm/g1'), 'won')
    t.is(await replica.closeGeneration('epochs/vm/g1'), 'closed')
    t.is(await codeFrom(replica.publish('epochs/vm/g1', 'e2', Buffer.from('late'))), 'FENCED')
    t.deepEqual(await names(replica, 'epochs/vm/g1'), ['closed'])
    t.deepEqual(await names(replica, 'epochs/vm/g1/closed'), ['e1', 'owner'])
    t.is(String(await readAll(replica, 'epochs/vm/g1/closed/e1')), 'first')
    t.is(String(await readAll(replica, 'epochs/vm/g1/closed/owner')), 'me')
    t.is(await codeFrom(replica.openGeneration('epochs/vm/g1', 'owner', Buffer.from('late'))), 'EXISTS', 'its name is never free again')
    t.is(await codeFrom(replica.closeGeneration('epochs/vm/g7')), 'NOT_FOUND')
    t.is(await codeFrom(replica.openGeneration('none/g1', 'owner', Buffer.from('me'))), 'NOT_FOUND')
  })

  law('a generation that is opened after something is there then, and never where that came to nothing', async (t, replica) => {
    await replica.makeDirectory('epochs/vm')
    const after = Promise.withResolvers<boolean>()
    const opening = replica.openGeneration('epochs/vm/g1', 'owner', Buffer.from('me'), { after: after.promise })
    t.deepEqual(await names(replica, 'epochs/vm'), [])
    after.resolve(true)
    await opening
    t.is(String(await readAll(replica, 'epochs/vm/g1/open/owner')), 'me')
    const never = replica.openGeneration('epochs/vm/g2', 'owner', Buffer.from('me'), { after: Promise.resolve(false) })
    t.is(await codeFrom(never), 'ABORTED')
    t.deepEqual(await names(replica, 'epochs/vm'), ['g1'])
    await replica.openGeneration('epochs/vm/g2', 'owner', Buffer.from('you'))
    t.is(String(await readAll(replica, 'epochs/vm/g2/open/owner')), 'you')
  })

  law('an intent is published by its name, once, and not after it was taken away or the generation closed', async (t, replica) => {
    await replica.makeDirectory('intents')
    await replica.openGeneration('g1', 'owner', Buffer.from('me'))
    for (const name of ['a', 'b', 'c', 'd']) await replica.put(`intents/${name}`, Buffer.from(name))
    await replica.publishIntent('intents/a', 'g1', 'e1')
    t.is(String(await readAll(replica, 'g1/open/e1')), 'a')
    t.deepEqual(await names(replica, 'intents'), ['b', 'c', 'd'])
    t.is(await codeFrom(replica.publishIntent('intents/a', 'g1', 'e1')), 'EXISTS', 'asked again: it is there')
    t.is(await codeFrom(replica.publishIntent('intents/b', 'g1', 'e1')), 'EXISTS')
    t.is(String(await readAll(replica, 'g1/open/e1')), 'a')
    await replica.remove('intents/c')
    t.is(await codeFrom(replica.publishIntent('intents/c', 'g1', 'e3')), 'NOT_FOUND')
    await replica.closeGeneration('g1')
    t.is(await codeFrom(replica.publishIntent('intents/d', 'g1', 'e4')), 'FENCED')
    t.is(await codeFrom(replica.publishIntent('intents/c', 'g1', 'e4')), 'FENCED')
    t.is(await codeFrom(replica.publishIntent('intents/d', 'g2', 'e4')), 'FENCED')
    t.deepEqual(await names(replica, 'intents'), ['b', 'd'], 'what was not published stays')
    t.deepEqual(await names(replica, 'g1/closed'), ['e1', 'owner'])
  })

  law('an intent is published or taken away, never both, each time', async (t, replica) => {
    const random = Random.announced(t)
    await replica.makeDirectory('intents')
    await replica.openGeneration('g1', 'owner', Buffer.from('me'))
    let publishedCount = 0
    for (let round = 0; round < rounds; round++) {
      await replica.put(`intents/${round}`, Buffer.from('x'))
      const late = random.below(2)
      const publishing = sleep(late * random.below(4)).then(() => codeFrom(replica.publishIntent(`intents/${round}`, 'g1', `e${round}`)))
      await sleep((1 - late) * random.below(4))
      await replica.remove(`intents/${round}`)
      const code = await publishing
      t.true(code === undefined || code === 'NOT_FOUND', code)
      t.is(await replica.stat(`g1/open/e${round}`) !== null, code === undefined)
      publishedCount += code === undefined ? 1 : 0
    }
    t.log(`${publishedCount} of ${rounds} published`)
    t.deepEqual(await names(replica, 'intents'), [])
  })

  law('an object moves to a name that is free', async (t, replica) => {
    await replica.makeDirectory('d')
    await replica.put('a', Buffer.from('a'))
    await replica.put('b', Buffer.from('b'))
    await replica.move('a', 'd/a')
    t.is(String(await readAll(replica, 'd/a')), 'a')
    t.is(await codeFrom(replica.move('b', 'd/a')), 'EXISTS')
    t.is(await codeFrom(replica.move('none', 'd/n')), 'NOT_FOUND')
    t.is(await codeFrom(replica.move('b', 'none/b')), 'NOT_FOUND')
    t.deepEqual(await names(replica, ''), ['b', 'd'])
    const outcomes = await Promise.all([0, 1, 2].map((who) => codeFrom(replica.move('b', `d/b${who}`))))
    t.is(outcomes.filter((code) => code === undefined).length, 1)
    t.is((await names(replica, 'd')).length, 2)
  })

  law('of three who close and three who open a generation one wins, each time', async (t, replica) => {
    for (let round = 0; round < rounds; round++) {
      const opened = await Promise.all([0, 1, 2].map((who) => codeFrom(replica.openGeneration(`g${round}`, 'owner', Buffer.from(`${who}`)))))
      t.is(opened.filter((code) => code === undefined).length, 1)
      t.is(String(await readAll(replica, `g${round}/open/owner`)), `${opened.indexOf(undefined)}`)
      const closed = await Promise.all([0, 1, 2].map(() => replica.closeGeneration(`g${round}`)))
      t.deepEqual(closed.toSorted(), ['closed', 'closed', 'won'])
    }
  })

  law('whoever closes sees exactly what was published, each time', async (t, replica) => {
    const random = Random.announced(t)
    let publishedCount = 0
    for (let round = 0; round < rounds; round++) {
      const directory = `r${round}`
      await replica.openGeneration(directory, 'owner', Buffer.from('me'))
      const published: string[] = []
      const writer = publishUntilFenced(replica, directory, published)
      // Somewhere in the middle of a publication.
      while (published.length < round % 3) await sleep(1)
      await sleep(random.below(50))
      t.is(await replica.closeGeneration(directory), 'won')
      const seen = await names(replica, `${directory}/closed`)
      await writer
      t.deepEqual(seen, ['owner', ...published].toSorted())
      t.deepEqual(await names(replica, `${directory}/closed`), seen, 'the list is final')
      publishedCount += published.length
    }
    t.log(`${publishedCount} published in ${rounds} rounds`)
    t.deepEqual(await names(replica, ''), Array.from({ length: rounds }, (_, round) => `r${round}`).toSorted())
  })
}

/** Adds the names whose publication was confirmed. */
async function publishUntilFenced(replica: Replica, directory: string, published: string[]): Promise<void> {
  for (let each = 0; ; each++) {
    const name = `e${String(each).padStart(4, '0')}`
    const code = await codeFrom(replica.publish(directory, name, Buffer.from(name)))
    if (code === 'FENCED') return
    if (code !== undefined) throw new Error(`publish failed with ${code}`)
    published.push(name)
  }
}

function failures(law: Law): void {
  law('what is not there is NOT_FOUND', async (t, replica) => {
    t.is(await replica.stat('none'), null)
    t.is(await replica.stat('none/deeper'), null)
    t.is(await codeFrom(readAll(replica, 'none')), 'NOT_FOUND')
    t.is(await codeFrom(replica.copies('none')), 'NOT_FOUND')
    t.is(await codeFrom(replica.put('none/o', Buffer.from('x'))), 'NOT_FOUND')
    t.is(await codeFrom(replica.publish('none', 'o', Buffer.from('x'))), 'FENCED')
    t.deepEqual(await names(replica, ''), [])
  })

  law('paths that could lead elsewhere are refused', async (t, replica) => {
    const paths = ['..', 'a/../b', '/a', 'a//b', 'a/', '.tmp', 'a/.hidden', 'a b', 'ä', 'a?op=DELETE', 'a%2e', 'a\n', 'x'.repeat(201), '-a']
    for (const path of paths) {
      t.is(await codeFrom(replica.put(path, Buffer.from('x'))), 'BAD_NAME', path)
      t.is(await codeFrom(replica.stat(path)), 'BAD_NAME', path)
      t.is(await codeFrom(replica.remove(path)), 'BAD_NAME', path)
      t.is(await codeFrom(readAll(replica, path)), 'BAD_NAME', path)
      t.is(await codeFrom(collect(replica.list(path))), 'BAD_NAME', path)
      t.is(await codeFrom(replica.publish('d', path, Buffer.from('x'))), 'BAD_NAME', path)
    }
    t.is(await codeFrom(replica.put('', Buffer.from('x'))), 'BAD_NAME')
    t.is(await codeFrom(replica.put('large', { bytes: 2 ** 40, open: () => [] })), 'USAGE')
  })

  law('a call ends when it is told to, and a closed replica answers no more', async (t, replica) => {
    const controller = new AbortController()
    const endless = {
      bytes: 100 * MIB,
      open: async function* () {
        for (;;) {
          yield Buffer.alloc(MIB)
          if (!controller.signal.aborted) controller.abort()
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
    }
    t.is(await codeFrom(replica.put('a', endless, { signal: controller.signal })), 'ABORTED')
    t.is(await codeFrom(replica.stat('a', { signal: AbortSignal.abort() })), 'ABORTED')
    t.is(await replica.stat('a'), null)
    await replica.put('b', Buffer.alloc(3 * MIB))
    for await (const piece of replica.read('b')) {
      t.true(piece.length > 0)
      break
    }
    await replica.close()
    await replica.close()
    t.is(await codeFrom(replica.stat('b')), 'ABORTED')
  })
}

/** The code of a failure; undefined for a success. Failures that have none are thrown. */
export async function codeFrom(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return codeOf(error)
  }
}

export async function readAll(replica: Replica, path: string, range: { offset?: number; bytes?: number } = {}): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of replica.read(path, range)) pieces.push(piece)
  return Buffer.concat(pieces)
}

export async function collect(entries: AsyncIterable<ReplicaEntry>): Promise<ReplicaEntry[]> {
  const found: ReplicaEntry[] = []
  for await (const entry of entries) found.push(entry)
  return found
}

export async function names(replica: Replica, directory: string): Promise<string[]> {
  return (await collect(replica.list(directory))).map(({ name }) => name)
}

/** As random as it has to be, made fast. */
export function filled(random: Random, size: number): Buffer {
  const tile = random.bytes(Math.min(size, 10_007))
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at += tile.length) tile.copy(bytes, at)
  return bytes
}
