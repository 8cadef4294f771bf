/** Reads of many ranges from a real HDFS, and reads that break off. */
import { MIB } from '../../src/limits.ts'
import { Random } from '../random.ts'
import { ChaosProxy } from './chaos-proxy.ts'
import { codeFrom, filled, readAll } from './contract.ts'
import { CuttingRelays } from './cutting-relays.ts'
import { hdfs, hdfsReplica, hdfsTest, whyNot } from './hdfs.ts'

const objectBytes = 24 * MIB

export function readTests(): void {
  hdfsTest(`hdfs: who reads many ranges of an object asks the NameNode once${whyNot}`, async (t) => {
    const proxy = await ChaosProxy.start(t, hdfs().address)
    const replica = await hdfsReplica(t, { address: proxy.address })
    const bytes = filled(Random.announced(t), 3 * MIB)
    await replica.put('o', bytes)
    const offsets = [0, MIB, 2 * MIB, 17, 3 * MIB - 5]
    const read = async (offset: number) => readAll(replica, 'o', { offset, bytes: 1000 })
    proxy.strike(/op=OPEN/, 'none', 1000)
    const all = await Promise.all(offsets.map(read))
    t.is(proxy.struckCount, 1)
    proxy.strike(/op=OPEN/, 'drop request', 1000)
    t.true((await read(offsets[1])).equals(all[1]))
    t.is(proxy.struckCount, 1)
    offsets.forEach((offset, index) => t.true(bytes.subarray(offset, offset + 1000).equals(all[index]), `at ${offset}`))
  })

  hdfsTest(`hdfs: an object that was removed is not there, wherever it was${whyNot}`, async (t) => {
    const replica = await hdfsReplica(t)
    await replica.put('o', filled(Random.announced(t), MIB))
    await readAll(replica, 'o', { offset: 5, bytes: 10 })
    await replica.remove('o')
    t.is(await codeFrom(readAll(replica, 'o', { offset: 7, bytes: 10 })), 'NOT_FOUND')
    const other = filled(Random.announced(t), 2 * MIB)
    await replica.put('o', other)
    t.true(other.subarray(MIB, MIB + 10).equals(await readAll(replica, 'o', { offset: MIB, bytes: 10 })))
  })

  hdfsTest(`hdfs: a DataNode that fails where the last range came from is left for what the NameNode says${whyNot}`, async (t) => {
    const relays = await CuttingRelays.start(t, hdfs())
    const replica = await hdfsReplica(t, { address: relays.address })
    const bytes = filled(Random.announced(t), 2 * MIB)
    await replica.put('o', bytes)
    await readAll(replica, 'o', { offset: 1, bytes: 10 })
    relays.cut = { afterBytes: 0, times: 1 }
    t.true(bytes.subarray(MIB, MIB + 10).equals(await readAll(replica, 'o', { offset: MIB, bytes: 10 })))
    t.is(relays.cutCount, 1)
  })

  for (const times of [1, 5]) {
    hdfsTest(`hdfs: the connection is reset ${times} times in the middle of a large read${whyNot}`, async (t) => {
      t.timeout(480_000)
      const relays = await CuttingRelays.start(t, hdfs())
      const replica = await hdfsReplica(t, { address: relays.address })
      const bytes = filled(Random.announced(t), objectBytes)
      await replica.put('o', bytes)
      relays.cut = { afterBytes: 3 * MIB + 12_345, times }
      t.true(bytes.equals(await readAll(replica, 'o')))
      t.is(relays.cutCount, times)
    })
  }
}
