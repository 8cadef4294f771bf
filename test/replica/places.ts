/** Directory replicas beside a store. */
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { imageKey } from '../../src/replica/layout.ts'
import { openReplica } from '../../src/replica/open.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { ReplicatedNode } from './node.ts'

export interface Place {
  readonly url: string
  readonly root: string
  readonly replica: Replica
}

export function place(t: ExecutionContext, parent: string, name: string): Place {
  const root = join(parent, name)
  fs.mkdirSync(root)
  const replica = openReplica(systemEnv(), `file://${root}`)
  t.teardown(() => replica.close())
  return { url: `file://${root}`, root, replica }
}

/** A store with an image and so many of them. */
export async function directoryNode(t: ExecutionContext, count = 1): Promise<{ node: ReplicatedNode; places: Place[]; key: string }> {
  t.timeout(480_000)
  const made = await ReplicatedNode.start(t, [])
  const places = Array.from({ length: count }, (_, at) => place(t, made.work.rig.parent, `replica${at}`))
  for (const [at, { url }] of places.entries()) made.add(`r${at}`, url)
  await made.replicator.refresh()
  const [{ id }] = await made.work.engine.images()
  return { node: made, places, key: imageKey(Buffer.from(id, 'hex')) }
}
