/** Chunks read from a real HDFS while its processes are killed, paused and started again. */
import type { ExecutionContext } from 'ava'
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemEnv } from '../../src/env/system.ts'
import { RemoteRecords } from '../../src/image/remote/remote-records.ts'
import { recordsOf } from '../../src/image/remote/messages.ts'
import { initStore, readIdentity } from '../../src/store/identity.ts'
import { StoreLayout } from '../../src/store/layout.ts'
import { openLocalEngine } from '../../src/image/local-engine.ts'
import { DirectoryReplica } from '../../src/replica/directory.ts'
import { hdfs, hdfsReplica, hdfsTest, rotBlocks, shareCluster, whyNot } from '../replica/hdfs.ts'
import { seed } from './seed.ts'

const env = systemEnv()

shareCluster(3)

interface Case {
  readonly remote: RemoteRecords
  readonly ids: Buffer[]
  /** The store that is on the replica. */
  readonly lost: string
  readonly url: string
}

/** An empty node, and the ids of what an image has on HDFS. */
async function emptyNode(t: ExecutionContext): Promise<Case> {
  const parent = fs.mkdtempSync(join(tmpdir(), 'holdfast-hdfs-read-'))
  t.teardown(() => fs.rmSync(parent, { recursive: true, force: true }))
  const contents = Buffer.alloc(6_000_000)
  for (let at = 0; at < contents.length; at += 3) contents.writeUInt8((at * at) % 233, at)
  fs.writeFileSync(join(parent, 'disk'), contents)
  const [lost, store] = [join(parent, 'lost'), join(parent, 'store')]
  initStore(env, lost)
  const ids: Buffer[] = []
  {
    await using engine = await openLocalEngine(lost)
    await engine.createImage({ image: 'vm', base: [join(parent, 'disk')] })
  }
  const replica = await hdfsReplica(t)
  await seed(replica, lost, 'vm', { rangeBytes: 1_000_000 })
  {
    const { openChunkStore } = await import('../../src/store/open.ts')
    await using chunks = await openChunkStore(env, lost)
    for await (const { id } of chunks.records()) ids.push(id)
  }
  initStore(env, store, { domain: { domainId: readIdentity(env, new StoreLayout(lost)).domainId, keys: null } })
  const engine = await openLocalEngine(store)
  const remote = new RemoteRecords({
    directory: store, attach: (port) => engine.attachSource(port), keep: (parcel) => engine.keepRecords({ parcel }), onEvent: () => undefined,
  })
  t.teardown(async () => {
    await remote.close()
    await engine.close()
  })
  remote.use([replica.url])
  return { remote, ids, lost, url: replica.url }
}

const faults: Record<string, () => Promise<void> | void> = {
  'all blocks of a DataNode are rotten': () => assert([...hdfs().dataNodes.keys()].some((index) => rotBlocks(index) > 0)),
  'a DataNode is killed': () => hdfs().dataNodes[0].kill(),
  'a DataNode hangs': () => hdfs().dataNodes[1].pause(),
  'the NameNode is killed and started again': async () => {
    await hdfs().nameNode.kill()
    await sleep(300)
    hdfs().nameNode.start()
  },
}

for (const [what, fault] of Object.entries(faults)) {
  hdfsTest(`hdfs: chunks are read while ${what}${whyNot}`, async (t) => {
    t.timeout(480_000)
    const { remote, ids } = await emptyNode(t)
    try {
      t.true(ids.length > 50)
      for (const [index, id] of ids.entries()) {
        if (index === 5) await fault()
        if (index >= 12) break
        t.true(recordsOf((await patiently(() => remote.fetch([id]))).parcel).length > 0)
      }
      const rest = await patiently(() => remote.fetch(ids.slice(12)))
      t.true(recordsOf(rest.parcel).length >= ids.length - 12)
    } finally {
      await hdfs().revive()
    }
  })
}

hdfsTest(`hdfs: what is rotten in all places is told, and comes from another replica${whyNot}`, async (t) => {
  t.timeout(480_000)
  const { remote, ids, lost, url } = await emptyNode(t)
  const rotten = await hdfsReplica(t)
  await rotten.put('object', Buffer.alloc(600_000, 'contents '))
  for (const index of hdfs().dataNodes.keys()) rotBlocks(index)
  for (const given of [{ timeoutMs: 4000 }, { signal: AbortSignal.timeout(4000) }]) {
    const failure = await t.throwsAsync(readAll(rotten.read('object', given)), { code: 'REPLICA_UNREACHABLE' })
    t.regex(failure.message, /in time/)
  }
  const directory = new DirectoryReplica(env, `${lost}-replica`)
  t.teardown(() => directory.close())
  await directory.makeDirectory('')
  await seed(directory, lost, 'vm', { rangeBytes: 1_000_000 })
  remote.use([url, directory.url])
  t.true(recordsOf((await patiently(() => remote.fetch(ids))).parcel).length >= ids.length)
})

async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

/** As those do who may wait: what cannot be reached now is asked for again. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await call()
    } catch (error) {
      if (tries === 50 || (error as { code?: string }).code !== 'REPLICA_UNREACHABLE') throw error
      await sleep(500)
    }
  }
}
