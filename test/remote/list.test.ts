/** What somebody finds on a replica who has nothing but its URL. */
import test from 'ava'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { DirectoryReplica } from '../../src/replica/directory.ts'
import { listReplicaImages, outermost, readReplicaEpochs, readReplicaImage } from '../../src/replica/image-list.ts'
import { generationDirectory } from '../../src/replica/layout.ts'
import { initStore } from '../../src/store/identity.ts'
import { seed } from './seed.ts'

const env = systemEnv()

test('images are listed with their epochs, also when a generation is closed; a damaged one hides no other', async (t) => {
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-list-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const store = join(parent, 'store')
  initStore(env, store)
  {
    await using engine = await openLocalEngine(store)
    for (const image of ['one', 'two']) await engine.createImage({ image, base: [] })
    for (let epoch = 0; epoch < 3; epoch++) await engine.sealHead({ image: 'one' })
  }
  const root = join(parent, 'replica')
  fs.mkdirSync(root)
  await using replica = new DirectoryReplica(env, root)
  t.deepEqual(await listReplicaImages(replica), { images: [], damaged: [] })
  for (const image of ['one', 'two']) {
    if (image === 'two') fs.rmSync(join(root, 'indexes'), { recursive: true })
    if (image === 'two') fs.rmSync(join(root, 'packs'), { recursive: true })
    await seed(replica, store, image)
  }
  const { images } = await listReplicaImages(replica)
  t.deepEqual(images.map(({ owner, batches, fenced, generation }) => [owner.image, batches.map(({ last }) => last), fenced, generation]), [
    ['one', [3], null, 1], ['two', [0], null, 1],
  ])
  await replica.closeGeneration(generationDirectory(images[0].key, 1))
  const epochs = await readReplicaEpochs(replica, images[0], { first: 1, last: 2 })
  t.deepEqual([...epochs.keys()].sort(), [1, 2], 'a batch is found where it has moved')
  const merged = images[0].batches.map((batch) => ({ ...batch, path: `${batch.path}-gone` }))
  for (const batches of [[], merged]) {
    const found = await readReplicaEpochs(replica, { ...images[0], batches }, { first: 3, last: 3 })
    t.deepEqual([...found.keys()], [3], 'a batch that was merged since it was listed, or hid while it was')
  }
  t.is((await readReplicaEpochs(replica, images[0], { first: 9, last: 9 })).size, 0)
  t.like(await readReplicaImage(replica, images[0].key), { generation: 1 })
  fs.writeFileSync(join(root, 'epochs', images[1].key, 'g00000001', 'open', 'owner'), '{"holdfast":"owner","version":99}')
  const left = `${images[0].key}.fenced-1.fenced-4`
  fs.cpSync(join(root, 'epochs', images[0].key), join(root, 'epochs', left), { recursive: true })
  t.like(await readReplicaImage(replica, left), { fenced: 4 }, 'a history that was left behind twice')
  fs.rmSync(join(root, 'epochs', left), { recursive: true })
  fs.mkdirSync(join(root, 'epochs', '..%2f..'), { recursive: true })
  const again = await listReplicaImages(replica)
  t.deepEqual(again.images.map(({ owner }) => owner.image), ['one'])
  t.deepEqual(again.damaged.map(({ key }) => key), [images[1].key])
  t.is(await readReplicaImage(replica, '../../etc'), null)
})

test('of batches that lie within others only the outer ones are read', (t) => {
  const batch = (first: number, last: number) => ({ first, last, count: last - first + 1, path: `${first}-${last}` })
  t.deepEqual(outermost([batch(3, 3), batch(1, 4), batch(1, 2), batch(5, 5), batch(5, 9), batch(11, 12)]).map(({ path }) => path), ['1-4', '5-9', '11-12'])
})
