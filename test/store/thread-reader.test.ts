/** A thread that reads while its writer's collector takes entries away and puts them back. */
import { Buffer } from 'node:buffer'
import test, { type ExecutionContext } from 'ava'
import { PackFiles } from '../../src/store/pack-files.ts'
import { PackIndex } from '../../src/store/pack-index.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { ThreadReader } from '../../src/store/thread-reader.ts'
import { Random } from '../random.ts'
import { env, temporaryStore } from './support.ts'
import { domainKeys, openChunkStore } from './variant.ts'

interface Reading {
  readonly id: Buffer
  readonly chunk: Buffer
  readonly reader: ThreadReader
  /** How often the index was asked. */
  asked(): number
}

/** A reader whose index lacks everything for as many times as it is asked. */
async function reading(t: ExecutionContext, lacking: number): Promise<Reading> {
  const directory = temporaryStore(t)
  const chunk = Random.announced(t).chunk()
  const layout = new StoreLayout(directory)
  let id: Buffer
  {
    await using store = await openChunkStore(env, directory)
    id = store.put(chunk, 'data').id
    await store.sync()
  }
  const index = await PackIndex.open(layout.index, () => t.fail('the index is sound'))
  let count = 0
  const lacks: PackIndex = Object.create(index, {
    locate: { value: (...of: Parameters<PackIndex['locate']>) => (count++ < lacking ? undefined : index.locate(...of)) },
    close: { value: () => index.close() },
  })
  const reader = new ThreadReader(new PackFiles(env, layout, domainKeys), lacks)
  t.teardown(() => reader.close())
  return { id, chunk, reader, asked: () => count }
}

test('an entry that is back a little later is found', async (t) => {
  const { id, chunk, reader, asked } = await reading(t, 6)
  t.deepEqual(reader.read(id), chunk)
  t.true(asked() > 6)
})

test('what is not there is NOT_FOUND', async (t) => {
  const { reader } = await reading(t, 0)
  t.throws(() => reader.read(Buffer.alloc(32, 1)), { code: 'NOT_FOUND' })
  const lacking = await reading(t, Infinity)
  t.throws(() => lacking.reader.read(lacking.id), { code: 'NOT_FOUND' })
})
