/** An index that opens and turns out to be damaged when LevelDB reads what it names. */
import test, { type ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HoldfastError } from '../../src/errors.ts'
import type { RecordLocation } from '../../src/format/keys.ts'
import { type IndexOperation, PackIndex, putRecord } from '../../src/store/pack-index.ts'
import { Random } from '../random.ts'

const storeId = Buffer.alloc(16, 7)
const location: RecordLocation = { packNumber: 1, offset: 80, recordBytes: 100, kind: 1, codec: 0, depth: 0 }

interface Spoilt {
  readonly index: PackIndex
  readonly directory: string
  readonly ids: readonly Buffer[]
  /** How often it was told to be damaged. */
  told(): number
}

/** An index of many records whose every table is spoilt in its middle. */
async function spoilt(t: ExecutionContext, random: Random): Promise<Spoilt> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-index-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  const ids = Array.from({ length: 4000 }, () => random.bytes(32))
  {
    await using index = await PackIndex.open(directory, () => t.fail('nothing is damaged yet'))
    await index.claim(storeId)
    await index.write(operations(ids))
    await index.settle(new Map())
  }
  for (const name of fs.readdirSync(directory).filter((each) => each.endsWith('.ldb'))) {
    const bytes = fs.readFileSync(join(directory, name))
    bytes.fill(0xa5, bytes.length >> 2, bytes.length >> 1)
    fs.writeFileSync(join(directory, name), bytes)
  }
  let told = 0
  const index = await PackIndex.open(directory, () => (told += 1))
  t.teardown(() => index.close())
  return { index, directory, ids, told: () => told }
}

function operations(ids: readonly Buffer[]): IndexOperation[] {
  return ids.map((id) => putRecord(id, location))
}

async function codeOf(call: () => Promise<unknown>): Promise<string | undefined> {
  return call().then(() => undefined, (error: HoldfastError) => error.code)
}

async function drained(entries: AsyncIterable<unknown>): Promise<void> {
  for await (const each of entries) void each
}

test('each way of reading tells of the damage', async (t) => {
  const { index, ids, told } = await spoilt(t, Random.announced(t))
  t.is(await codeOf(() => drained(index.records())), 'DAMAGED')
  t.is(await codeOf(() => drained(index.keysWithin(new Set([1])))), 'DAMAGED')
  t.is(told(), 2)
  t.is(await codeOf(async () => ids.forEach((id) => index.locate(id, 0))), 'DAMAGED')
  t.is(told(), 3)
})

test('a write that LevelDB refuses because it met the damage while merging tells of it, too', async (t) => {
  const { index, ids, told } = await spoilt(t, Random.announced(t))
  // Tables that overlap are merged when some more of them have come.
  for (let round = 0; round < 4; round++) {
    await codeOf(() => index.claim(storeId))
    await codeOf(() => index.write(operations(ids)))
    await codeOf(() => index.settle(new Map()))
  }
  const before = told()
  t.is(await codeOf(() => index.claim(storeId)), 'DAMAGED')
  t.is(await codeOf(() => index.write(operations(ids))), 'DAMAGED')
  t.is(await codeOf(() => index.settle(new Map())), 'DAMAGED')
  t.is(told(), before + 3)
})

test('a file of the index that is gone when it is first read is damage; a call that comes after the close is none', async (t) => {
  const { index, ids, told, directory } = await spoilt(t, Random.announced(t))
  for (const name of fs.readdirSync(directory).filter((each) => each.endsWith('.ldb'))) fs.rmSync(join(directory, name))
  t.is(await codeOf(async () => ids.forEach((id) => index.locate(id, 0))), 'DAMAGED')
  t.is(told(), 1)
  await index.close()
  t.is(await codeOf(async () => index.locate(ids[0], 0)), 'IO')
  t.is(await codeOf(() => index.settle(new Map())), 'IO')
  t.is(told(), 1)
})

test('a disk that is full is told of as such, and is no damage', async (t) => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-index-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  const full = (name: string): void => fs.symlinkSync('/dev/full', join(directory, name))
  full('MANIFEST-000001')
  const open = (): Promise<PackIndex> => PackIndex.open(directory, () => t.fail('nothing is damaged'))
  t.is(await codeOf(open), 'NO_SPACE')
  await using index = await open()
  await index.claim(storeId)
  // Whatever file LevelDB makes from now on.
  for (let number = 4; number < 30; number++) for (const end of ['log', 'ldb']) full(`${String(number).padStart(6, '0')}.${end}`)
  t.is(await codeOf(() => index.settle(new Map())), 'NO_SPACE')
  t.is(await codeOf(() => index.write(operations([Buffer.alloc(32, 1)]))), 'NO_SPACE')
  t.is(await codeOf(() => index.claim(storeId)), 'NO_SPACE')
})
