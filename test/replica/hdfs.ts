/** The HDFS that the tests of one file share, and replicas in it. */
import type { ExecutionContext, TestFn } from 'ava'
import anyTest from 'ava'
import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HdfsCluster, missingForHdfs } from '../../rig/hdfs/index.ts'
import { systemEnv } from '../../src/env/system.ts'
import { type ReplicaLimits, replicaLimits } from '../../src/replica/limits.ts'
import { WebHdfsReplica } from '../../src/replica/webhdfs/webhdfs-replica.ts'

const missing = missingForHdfs()

/** Why nothing of this runs, behind a test's name; empty when it runs. */
export const whyNot = missing === null ? '' : ` (skipped: ${missing})`

/** One after the other: tests kill what others need. */
export const hdfsTest: TestFn = (missing === null ? anyTest.serial : anyTest.serial.skip) as TestFn

/** Short enough for tests, long enough for a loaded machine. */
export const testLimits: ReplicaLimits = { ...replicaLimits, replyTimeoutMs: 15_000, idleTimeoutMs: 5_000 }

let cluster: HdfsCluster | undefined

/** To be called once in a test file. */
export function shareCluster(dataNodes: number): void {
  anyTest.before(async (t) => {
    t.timeout(480_000)
    if (missing === null) cluster = await HdfsCluster.start({ dataNodes })
  })
  anyTest.after.always(async () => {
    await cluster?.close()
  })
}

export function hdfs(): HdfsCluster {
  if (cluster === undefined) throw new Error('there is no cluster')
  return cluster
}

/** Flips a bit in the middle of each block that a DataNode holds and that is larger than this; how many. */
export function rotBlocks(dataNode: number, bytesMin = 1000): number {
  const directory = join(hdfs().directory, `data${dataNode}`)
  const blocks = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => /finalized.*\/blk_\d+$/.test(name)).map((name) => join(directory, name))
    .filter((path) => statSync(path).size > bytesMin)
  for (const path of blocks) {
    const bytes = readFileSync(path)
    bytes[bytes.length >> 1] ^= 1
    writeFileSync(path, bytes)
  }
  return blocks.length
}

/** A replica in a new, empty directory of the cluster. `address` may be a proxy's. */
export async function hdfsReplica(t: ExecutionContext, { address = hdfs().address, user = 'hdfs', limits = testLimits } = {}): Promise<WebHdfsReplica> {
  const replica = new WebHdfsReplica(systemEnv(), `webhdfs://${address}/t/${randomBytes(6).toString('hex')}?user=${user}`, { limits })
  t.teardown(() => replica.close())
  await replica.makeDirectory('')
  return replica
}
