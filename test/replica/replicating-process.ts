/** Brings a store to its replicas, until it is killed: `node replicating-process.ts STORE`. The store's writer is at rest. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { StoreOutbox } from '../../src/image/outbox.ts'
import { openReplica } from '../../src/replica/open.ts'
import { ReplicaRegistry } from '../../src/replica/registry.ts'
import { Replicator } from '../../src/replica/replicator.ts'

const env = systemEnv()
const [store] = process.argv.slice(2)

const packs = readdirSync(join(store, 'packs')).map((name) => {
  const [number, packId] = name.split('.')
  const path = join(store, 'packs', name)
  return { packId, number: Number.parseInt(number, 16), path, bytes: statSync(path).size, isClosed: false }
})

const outbox = new StoreOutbox(env, store, {
  durablePacks: async () => packs,
  fence: async () => { throw new Error('nobody takes it over') },
})
const replicator = new Replicator({
  env, outbox, registry: new ReplicaRegistry(env, store), open: ({ url }) => openReplica(env, url), onEvent: () => undefined,
})
await replicator.refresh()
