import test from 'ava'
import { Buffer } from 'node:buffer'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'
import { Slots } from '../../src/replica/slots.ts'
import { Throttle } from '../../src/replica/throttle.ts'
import { formatWebHdfsUrl, parseWebHdfsUrl } from '../../src/replica/webhdfs/address.ts'
import { HdfsChecksum } from '../../src/replica/webhdfs/checksum.ts'
import { crc32c, crc32cOfWords } from '../../src/replica/webhdfs/crc32c.ts'
import { followRedirect } from '../../src/replica/webhdfs/redirect.ts'
import { Random } from '../random.ts'

test('URLs', (t) => {
  t.deepEqual(parseWebHdfsUrl('webhdfs://nn1:50070,[::1]/a/b/?user=hdfs'), {
    nameNodes: [{ isTls: false, host: 'nn1', port: 50070 }, { isTls: false, host: '::1', port: 9870 }],
    root: '/a/b', user: 'hdfs',
  })
  t.is(parseWebHdfsUrl('swebhdfs://nn').nameNodes[0].port, 9871)
  for (const url of ['webhdfs://nn1:50070,[::1]:1/a/b?user=hdfs', 'swebhdfs://nn:1/']) t.is(formatWebHdfsUrl(parseWebHdfsUrl(url)), url)
  const wrong = [
    'webhdfs://', 'webhdfs:///a', 'webhdfs://a:0/', 'webhdfs://a:99999/', 'webhdfs://a/../b', 'webhdfs://a/b//c', 'webhdfs://a/b?x=1',
    'webhdfs://a/?user=a%26op', 'webhdfs://u:p@a/', 'webhdfs://a b/', 'http://a/', 'file://other-host/a', 's3://a',
  ]
  for (const url of wrong) t.throws(() => openReplica(systemEnv(), url), { code: 'USAGE' }, url)
})

test('CRC-32C is that of RFC 3720', (t) => {
  t.is(crc32c(Buffer.from('123456789')) >>> 0, 0xe306_9283)
  t.is(crc32c(Buffer.alloc(32)) >>> 0, 0x8a91_36aa)
  t.is(crc32c(Buffer.alloc(32, 0xff)) >>> 0, 0x62a8_ab43)
  const bytes = Random.announced(t).bytes(4096)
  const words = new Int32Array(Uint8Array.from(bytes).buffer)
  t.is(crc32cOfWords(words, 128, 256), crc32c(bytes.subarray(512, 1536)))
})

test('a checksum does not depend on how the bytes came', (t) => {
  const random = Random.announced(t)
  const bytes = random.bytes(20_000)
  const whole = new HdfsChecksum()
  whole.update(bytes)
  const expected = whole.digest()
  for (let times = 0; times < 50; times++) {
    const parts = new HdfsChecksum()
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + random.below(1500))
      parts.update(bytes.subarray(at, end))
      at = end
    }
    t.is(parts.digest(), expected)
  }
})

test('from a NameNode elsewhere nobody gets to our own loopback', (t) => {
  const from = { isTls: false, host: 'nn.example.org', port: 9870 }
  const redirect = { from, method: 'GET', operation: 'OPEN', path: '/webhdfs/v1/a' } as const
  for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', '[::1]', '0.0.0.0', '[::ffff:127.0.0.1]', 'x.localhost', '[fe80::1]', '2130706433']) {
    const location = `http://${host}:9864/webhdfs/v1/a?op=OPEN`
    t.throws(() => followRedirect({ ...redirect, location }), { code: 'REPLICA_FAULT' }, host)
  }
  const target = followRedirect({ ...redirect, location: 'http://dn1:9864/webhdfs/v1/a?op=OPEN&x=1' })
  t.like(target, { server: { isTls: false, host: 'dn1', port: 9864 }, path: '/webhdfs/v1/a?op=OPEN&x=1' })
})

test('places are given in order, and the queue has an end', async (t) => {
  const slots = new Slots(1, 2)
  const first = await slots.take()
  const order: string[] = []
  const second = slots.take().then((slot) => { order.push('second'); return slot })
  const third = slots.take().then((slot) => { order.push('third'); return slot })
  await t.throwsAsync(slots.take(), { code: 'BUSY' })
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  t.deepEqual(order, [])
  ;(await second)[Symbol.dispose]()
  ;(await third)[Symbol.dispose]()
  t.deepEqual(order, ['second', 'third'])
  using _again = await slots.take()
})

test('a throttle keeps bytes apart, and forgets idle time', async (t) => {
  let nowMs = 500
  const throttle = new Throttle({ ...systemEnv(), monotonicMs: () => nowMs }, 1_000_000)
  t.deepEqual([throttle.claim(30_000), throttle.claim(10_000), throttle.claim(1)], [0, 30, 40])
  nowMs = 10_000
  t.deepEqual([throttle.claim(1_000_000_000), throttle.claim(1)], [0, 1_000_000])
  await throttle.pass(1, AbortSignal.abort())
  const free = new Throttle(systemEnv(), null)
  t.deepEqual([free.claim(1e12), free.claim(1e12)], [0, 0])
})
