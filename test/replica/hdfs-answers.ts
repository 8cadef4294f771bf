/** Answers of a real NameNode that get lost on the way: what was done is found out, nothing is done twice. */
import { Buffer } from 'node:buffer'
import { ChaosProxy } from './chaos-proxy.ts'
import { codeFrom, names, readAll } from './contract.ts'
import { hdfs, hdfsReplica, hdfsTest, testLimits, whyNot } from './hdfs.ts'

const rename = /op=RENAME/

export function answerTests(): void {
  for (const mischief of ['drop reply', 'drop request', 'stall'] as const) {
    hdfsTest(`hdfs: ${mischief} of a rename: a publication is settled${whyNot}`, async (t) => {
      t.timeout(480_000)
      const proxy = await ChaosProxy.start(t, hdfs().address)
      const limits = mischief === 'stall' ? { ...testLimits, replyTimeoutMs: 2500 } : testLimits
      const replica = await hdfsReplica(t, { address: proxy.address, limits })
      await replica.openGeneration('g1', 'owner', Buffer.from('me'))
      proxy.strike(rename, mischief)
      await replica.publish('g1', 'e1', Buffer.from('one'))
      proxy.strike(rename, mischief)
      await replica.put('o', Buffer.from('two'))
      proxy.strike(rename, mischief)
      await replica.put('o', Buffer.from('three'), { replace: true })
      proxy.strike(rename, mischief)
      t.is(await codeFrom(replica.publish('g1', 'e1', Buffer.from('other'))), 'EXISTS')
      proxy.strike(/op=RENAME.*destination=[^&]*g2&/, mischief)
      await replica.openGeneration('g2', 'owner', Buffer.from('me'))
      t.is(proxy.struckCount, 5)
      t.is(String(await readAll(replica, 'g1/open/e1')), 'one')
      t.is(String(await readAll(replica, 'o')), 'three')
      t.is(await replica.removeTemporaries(0), 0)
      proxy.strike(rename, mischief)
      const outcome = await replica.closeGeneration('g1')
      t.is(outcome, mischief === 'drop request' ? 'won' : 'closed')
      proxy.strike(rename, mischief)
      t.is(await codeFrom(replica.publish('g1', 'e2', Buffer.from('late'))), 'FENCED')
      t.deepEqual(await names(replica, 'g1/closed'), ['e1', 'owner'])
    })
  }

  hdfsTest(`hdfs: published, answer lost, directory closed: still published${whyNot}`, async (t) => {
    t.timeout(480_000)
    const proxy = await ChaosProxy.start(t, hdfs().address)
    const limits = { ...testLimits, backoffMinMs: 1500 }
    const replica = await hdfsReplica(t, { address: proxy.address, limits })
    await replica.openGeneration('g1', 'owner', Buffer.from('me'))
    proxy.strike(rename, 'drop reply')
    const published = replica.publish('g1', 'e1', Buffer.from('one'))
    while (proxy.struckCount === 0 || (await names(replica, 'g1/open')).length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
    t.is(await replica.closeGeneration('g1'), 'won')
    await published
    t.deepEqual(await names(replica, 'g1/closed'), ['e1', 'owner'])
  })

  hdfsTest(`hdfs: a rename that is never answered is REPLICA_UNCLEAR, and nothing is left in doubt after a look${whyNot}`, async (t) => {
    t.timeout(480_000)
    const proxy = await ChaosProxy.start(t, hdfs().address)
    const replica = await hdfsReplica(t, { address: proxy.address, limits: { ...testLimits, replyTimeoutMs: 2000 } })
    await replica.openGeneration('g1', 'owner', Buffer.from('me'))
    proxy.strike(rename, 'stall', 1000)
    t.is(await codeFrom(replica.publish('g1', 'e1', Buffer.from('one'), { timeoutMs: 12_000 })), 'REPLICA_UNCLEAR')
    proxy.strike(rename, 'drop reply', 1)
    t.is(await codeFrom(replica.publish('g1', 'e1', Buffer.from('one'))), 'EXISTS')
    t.is(String(await readAll(replica, 'g1/open/e1')), 'one')
  })
}
