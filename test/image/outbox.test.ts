/** What a store says to its replicas that it has. */
import test from 'ava'
import type { Env } from '../../src/env/env.ts'
import { systemEnv } from '../../src/env/system.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { StoreOutbox } from '../../src/image/outbox.ts'
import { temporaryStore } from '../store/support.ts'

/** File systems give the number of a removed file to the next one: here every file has the same. */
function sameNumbers(env: Env): Env {
  return { ...env, stat: (path) => ({ ...env.stat(path), ino: 7n }) }
}

test('an image that is removed and made again under its name is another one', async (t) => {
  const directory = temporaryStore(t)
  await using engine = await openLocalEngine(directory)
  const outbox = new StoreOutbox(sameNumbers(systemEnv()), directory, engine)
  await engine.createImage({ image: 'twin', base: [] })
  const [first] = outbox.images()
  await engine.remove({ target: 'twin' })
  await engine.createImage({ image: 'twin', base: [] })
  const [second] = outbox.images()
  t.false(second.imageId.equals(first.imageId))
  t.not(second.key, first.key)
})
