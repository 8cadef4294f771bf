/** Faults of a real HDFS: its processes killed, paused and restarted while objects are moved. */
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { MIB } from '../../src/limits.ts'
import type { ObjectSource } from '../../src/replica/replica.ts'
import type { WebHdfsReplica } from '../../src/replica/webhdfs/webhdfs-replica.ts'
import type { Daemon } from '../../rig/hdfs/index.ts'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'
import { Random } from '../random.ts'
import { codeFrom, filled, names, readAll } from './contract.ts'
import { hdfs, hdfsReplica, hdfsTest, testLimits, whyNot } from './hdfs.ts'

const objectBytes = 24 * MIB
const pieceBytes = 256 * 1024

type Fault = (daemon: Daemon) => Promise<void> | void

const faults: Record<string, Fault> = {
  killed: (daemon) => daemon.kill(),
  paused: (daemon) => daemon.pause(),
}

export function faultTests(): void {
  for (const [what, fault] of Object.entries(faults)) {
    hdfsTest(`hdfs: a DataNode is ${what} in the middle of an upload${whyNot}`, async (t) => {
      await withFault(t, async (replica, random) => {
        const bytes = filled(random, objectBytes)
        const source = interrupted(bytes, async () => fault(await servingDaemon()))
        t.like(await replica.put('o', source), { bytes: bytes.length })
        t.true(bytes.equals(await readAll(replica, 'o')))
        t.deepEqual(await names(replica, ''), ['o'])
      })
    })

    hdfsTest(`hdfs: a DataNode is ${what} in the middle of a read${whyNot}`, async (t) => {
      await withFault(t, async (replica, random) => {
        const bytes = filled(random, objectBytes)
        await replica.put('o', bytes)
        const pieces: Uint8Array[] = []
        let count = 0
        for await (const piece of replica.read('o')) {
          pieces.push(piece)
          const before = count
          count += piece.length
          if (before < 2 * MIB && count >= 2 * MIB) await fault(await servingDaemon())
        }
        t.true(bytes.equals(Buffer.concat(pieces)))
      })
    })
  }
  nameNodeTests()
  clientTests()
}

function nameNodeTests(): void {
  hdfsTest(`hdfs: the NameNode is killed and comes back, and calls wait for it${whyNot}`, async (t) => {
    await withFault(t, async (replica) => {
      await replica.openGeneration('g1', 'owner', Buffer.from('me'))
      await hdfs().nameNode.kill()
      const calls = Promise.all([
        replica.publish('g1', 'e1', Buffer.from('one')), replica.put('o', Buffer.from('two')), replica.makeDirectory('d'),
      ])
      await sleep(500)
      hdfs().nameNode.start()
      await calls
      t.deepEqual(await names(replica, 'g1/open'), ['e1', 'owner'])
      t.is(String(await readAll(replica, 'o')), 'two')
      t.is(await replica.closeGeneration('g1'), 'won')
    })
  })

  hdfsTest(`hdfs: a NameNode that hangs is REPLICA_UNREACHABLE in time, and no change is believed${whyNot}`, async (t) => {
    await withFault(t, async (replica) => {
      await replica.put('a', Buffer.from('x'))
      hdfs().nameNode.pause()
      t.is(await codeFrom(replica.stat('a', { timeoutMs: 1500 })), 'REPLICA_UNREACHABLE')
      t.is(await codeFrom(replica.closeGeneration('a', { timeoutMs: 6000 })), 'REPLICA_UNCLEAR')
    })
  })

  hdfsTest(`hdfs: in safe mode reads work and writes wait${whyNot}`, async (t) => {
    await withFault(t, async (replica) => {
      await replica.put('a', Buffer.from('x'))
      // Without DataNodes a NameNode that starts stays in safe mode: it waits for blocks.
      for (const each of hdfs().dataNodes) each.pause()
      await hdfs().nameNode.kill()
      hdfs().nameNode.start()
      t.like(await replica.stat('a'), { bytes: 1 })
      t.is(await codeFrom(replica.makeDirectory('d', { timeoutMs: 3000 })), 'REPLICA_UNREACHABLE')
      const later = replica.makeDirectory('d')
      for (const each of hdfs().dataNodes) each.resume()
      await later
      t.like(await replica.stat('d'), { kind: 'directory' })
    })
  })
}

function clientTests(): void {
  hdfsTest(`hdfs: a client that is killed in an upload leaves nothing but a temporary object${whyNot}`, async (t) => {
    t.timeout(480_000)
    const replica = await hdfsReplica(t)
    const script = fileURLToPath(new URL('./uploading-process.ts', import.meta.url))
    const child = spawn(process.execPath, [script, replica.url, 'o', String(objectBytes)], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    t.deepEqual(await names(replica, ''), [])
    t.is(await replica.stat('o'), null)
    await replica.put('o', Buffer.from('mine'))
    t.is(String(await readAll(replica, 'o')), 'mine')
    await eventually(async () => await replica.removeTemporaries(0) === 0)
    t.like(await replica.usage(), { objectCount: 1, objectBytes: 4 })
  })

  hdfsTest(`hdfs: who may not is REPLICA_DENIED at once${whyNot}`, async (t) => {
    const replica = await hdfsReplica(t)
    await replica.put('a', Buffer.from('x'))
    const stranger = openReplica(systemEnv(), replica.url.replace('user=hdfs', 'user=mallory'), { limits: testLimits })
    t.teardown(() => stranger.close())
    t.is(await codeFrom(stranger.put('b', Buffer.from('x'))), 'REPLICA_DENIED')
    t.is(await codeFrom(stranger.remove('a')), 'REPLICA_DENIED')
    t.is(await codeFrom(readAll(stranger, 'a')), 'REPLICA_DENIED')
  })

  hdfsTest(`hdfs: a wrong URL says so and leaves nothing behind${whyNot}`, async (t) => {
    const replica = await hdfsReplica(t)
    const open = (url: string) => {
      const opened = openReplica(systemEnv(), url, { limits: testLimits })
      t.teardown(() => opened.close())
      return opened
    }
    const mistyped = replica.url.replace('/t/', '/t/mistyped-')
    t.is(await codeFrom(open(mistyped).put('a', Buffer.from('x'))), 'NOT_FOUND')
    t.is(await codeFrom(names(open(mistyped), '')), 'NOT_FOUND')
    t.is(await open(mistyped).stat(''), null)
    const nobody = replica.url.replace(hdfs().address, '127.0.0.1:1')
    t.is(await codeFrom(open(nobody).stat('a', { timeoutMs: 500 })), 'REPLICA_UNREACHABLE')
    const dataNode = replica.url.replace(hdfs().address, hdfs().dataNodeAddress(0))
    const code = await codeFrom(open(dataNode).stat('a', { timeoutMs: 3000 }))
    t.true(code !== undefined, 'a DataNode is no NameNode')
    t.log(`asking a DataNode: ${code}`)
  })
}

/** Whatever the test does to the cluster is undone when it ends. */
async function withFault(t: ExecutionContext, body: (replica: WebHdfsReplica, random: Random) => Promise<void>): Promise<void> {
  t.timeout(480_000)
  const replica = await hdfsReplica(t)
  try {
    await body(replica, Random.announced(t))
  } finally {
    await hdfs().revive()
  }
}

/** The bytes in pieces; the fault comes once, after a few of them. */
function interrupted(bytes: Buffer, fault: () => Promise<void>): ObjectSource {
  let isDone = false
  return {
    bytes: bytes.length,
    open: async function* () {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        yield bytes.subarray(at, at + pieceBytes)
        if (at < 4 * MIB || isDone) continue
        isDone = true
        await fault()
      }
    },
  }
}

/** The DataNode that this process has a connection with. */
async function servingDaemon(): Promise<Daemon> {
  const ports = await connectedPorts()
  const index = hdfs().ports.dataNodes.findIndex(({ http }) => ports.includes(http))
  if (index < 0) throw new Error('no DataNode is connected')
  return hdfs().dataNodes[index]
}

/** Remote ports of this process's established connections. */
async function connectedPorts(): Promise<number[]> {
  const { readFile, readdir, readlink } = await import('node:fs/promises')
  const links = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  const inodes = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []))
  const rows = (await readFile('/proc/self/net/tcp', 'latin1')).split('\n').slice(1).map((row) => row.trim().split(/\s+/))
  const mine = rows.filter((row) => row[3] === '01' && inodes.has(row[9]))
  return mine.map((row) => Number.parseInt(row[2].split(':')[1], 16))
}

/** The test's own time limit ends a wait in vain. */
async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await sleep(100)
}
