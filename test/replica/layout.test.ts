/** Names on a replica, its domain, and the owner of a generation. */
import test from 'ava'
import { Buffer } from 'node:buffer'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { domainPath } from '../../src/replica/layout.ts'
import * as layout from '../../src/replica/layout.ts'
import { joinDomain, readDomain } from '../../src/replica/domain.ts'
import { openReplica } from '../../src/replica/open.ts'
import { type OwnerRecord, decodeOwner, encodeOwner } from '../../src/replica/owner-record.ts'
import { checkPath } from '../../src/replica/paths.ts'

test('every path is one of a replica, and every name is read as it was written', (t) => {
  const id = Buffer.alloc(16, 0xab)
  const key = layout.imageKey(id, [12])
  t.is(key, `${'ab'.repeat(16)}.fenced-12`)
  for (const path of [
    layout.packDirectory(id), layout.indexDirectory(id), layout.imageDirectory(key), layout.prefetchPath(key, 3),
    layout.seenPath(key), ...layout.generationParts(key, 1), domainPath,
  ]) t.is(checkPath(path), path)
  t.deepEqual(layout.parseRangeName(layout.rangeName({ offset: 80, bytes: 134_217_728 })), { offset: 80, bytes: 134_217_728 })
  t.deepEqual(layout.parseIndexRunName(layout.indexRunName({ level: 2, number: 77 })), { level: 2, number: 77 })
  t.deepEqual(layout.parseBatchName(layout.batchName({ first: 0, last: 9, count: 4 })), { first: 0, last: 9, count: 4 })
  t.is(layout.parseGenerationName('g00000007'), 7)
  for (const strange of ['whole', 'owner', '1-2', '00000001-00000002', '00000001-00000002.0', 'g7', '../x']) {
    t.is(layout.parseRangeName(strange) ?? layout.parseBatchName(strange) ?? layout.parseGenerationName(strange), undefined)
  }
})

test('a replica belongs to the domain that came first', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-domain-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  await using replica = openReplica(systemEnv(), `file://${root}`)
  const [ours, theirs] = [1, 2].map((byte) => ({ domainId: Buffer.alloc(16, byte), keyId: 0 }))
  t.is(await readDomain(replica), null)
  await Promise.all([joinDomain(replica, ours), joinDomain(replica, ours)])
  t.deepEqual(await readDomain(replica), ours)
  await t.throwsAsync(joinDomain(replica, theirs), { code: 'WRONG_DOMAIN' })
  await replica.put(domainPath, Buffer.from('{"holdfast":"domain","version":2}'), { replace: true })
  await t.throwsAsync(joinDomain(replica, ours), { code: 'NEWER_VERSION' })
  for (const foreign of ['{}', 'x', '{"holdfast":"owner","version":1}']) {
    await replica.put(domainPath, Buffer.from(foreign), { replace: true })
    await t.throwsAsync(joinDomain(replica, ours), { code: 'BAD_FORMAT' })
  }
})

test('an owner is read as it was written', (t) => {
  const owner: OwnerRecord = {
    self: '1f'.repeat(16), storeId: Buffer.alloc(16, 2), imageId: Buffer.alloc(16, 3), image: 'web',
    origin: { kind: 'fork', epoch: 'base@3' }, createdMs: 5, last: -1, openedMs: 6,
  }
  t.deepEqual(decodeOwner(encodeOwner(owner), 'x'), owner)
  const changed = (fields: object): Buffer => Buffer.from(JSON.stringify({ ...JSON.parse(encodeOwner(owner).toString()), ...fields }))
  t.throws(() => decodeOwner(changed({ self: '../..' }), 'x'), { code: 'DAMAGED' })
  t.throws(() => decodeOwner(changed({ last: -2 }), 'x'), { code: 'DAMAGED' })
  t.throws(() => decodeOwner(changed({ origin: { kind: 'gift' } }), 'x'), { code: 'DAMAGED' })
  t.throws(() => decodeOwner(changed({ version: 2 }), 'x'), { code: 'NEWER_VERSION' })
})
