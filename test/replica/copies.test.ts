/** An epoch counts as replicated only when what it needs lies in enough places of the replica. */
import test from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { imageKey } from '../../src/replica/layout.ts'
import { openReplica } from '../../src/replica/open.ts'
import type { Copies, Replica } from '../../src/replica/replica.ts'
import { ReplicatedNode, isWhole, levelOf, publishedNumbers, until } from './node.ts'

/** Says of some objects that they lie in one place of two. */
function thinReplica(replica: Replica, isThin: (path: string) => boolean): Replica {
  return new Proxy(replica, {
    get(target, name) {
      if (name === 'copies') return async (path: string): Promise<Copies> => {
        const { have } = await target.copies(path)
        return { have, wanted: isThin(path) ? 2 : 1 }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) as unknown : value
    },
  })
}

for (const place of ['packs/', 'epochs/']) {
  test(`what lies in too few places is there, and does not count: ${place}`, async (t) => {
    t.timeout(480_000)
    let isThin = false
    const made = await ReplicatedNode.start(t, [])
    made.between = (each) => thinReplica(each, (path) => isThin && path.startsWith(place))
    const root = join(made.work.rig.parent, 'replica')
    fs.mkdirSync(root)
    made.add('r0', `file://${root}`)
    await made.replicator.refresh()
    await made.seal('one')
    await until('the first', async () => (await levelOf(made, 1)).have === 1)
    isThin = true
    await made.seal('two')
    await until('it fails', () => made.replicator.status()[0].lastError?.includes('in 1 of 2') === true)
    const [{ id }] = await made.work.engine.images()
    const replica = openReplica(systemEnv(), `file://${root}`)
    t.teardown(() => replica.close())
    t.deepEqual(await publishedNumbers(replica, imageKey(Buffer.from(id, 'hex'))), [0, 1, 2])
    t.deepEqual(await levelOf(made, 2), { have: 0, of: 1 })
    await until('an alarm', () => made.events.some((event) => event.includes('in 1 of 2')))
    // Nor for who begins anew, and finds all of it there.
    await made.restart(t)
    await until('it fails again', () => made.replicator.status()[0].lastError?.includes('in 1 of 2') === true)
    t.deepEqual(await levelOf(made, 2), { have: 0, of: 1 })
    isThin = false
    await until('the second', async () => (await levelOf(made, 2)).have === 1)
    await isWhole(t, made, { replica }, { 'vm@1': 'one', 'vm@2': 'two' })
  })
}
