/** A replica as those see it who have the domain's keys, over one as it is. */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { codeOf } from '../../src/errors.ts'
import { openReplica } from '../../src/replica/open.ts'
import { readObject, readRange } from '../../src/replica/read-object.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { unsealedReplica } from '../../src/replica/sealed-replica.ts'
import { testKeys } from '../crypto/keys.ts'

const env = systemEnv()
const image = 'a'.repeat(32)

async function pair(t: ExecutionContext): Promise<{ root: string; plain: Replica; sealed: Replica }> {
  const root = fs.mkdtempSync(join(tmpdir(), 'holdfast-sealed-'))
  const plain = openReplica(env, `file://${root}`)
  t.teardown(async () => {
    await plain.close()
    fs.rmSync(root, { recursive: true, force: true })
  })
  return { root, plain, sealed: unsealedReplica(env, plain, testKeys) }
}

test('without keys a replica is itself', async (t) => {
  const { plain } = await pair(t)
  t.is(unsealedReplica(env, plain, null), plain)
})

test('what is sealed reads back, whole and in ranges, and shows its own length', async (t) => {
  const { plain, sealed } = await pair(t)
  const directory = `prefetch/${image}`
  await sealed.makeDirectory(directory)
  const bytes = Buffer.from('what to fetch first')
  t.like(await sealed.put(`${directory}/00000001`, bytes), { bytes: bytes.length })
  t.deepEqual(await readObject(sealed, `${directory}/00000001`, 100), bytes)
  t.is(String(await readRange(sealed, `${directory}/00000001`, { offset: 5, bytes: 2 })), 'to')
  t.is((await sealed.stat(`${directory}/00000001`))?.bytes, bytes.length)
  for await (const entry of sealed.list(directory)) t.is(entry.bytes, bytes.length)
  t.false((await readObject(plain, `${directory}/00000001`, 1000)).includes('fetch'))
  await sealed.makeDirectory('packs')
  await sealed.put('packs/p', bytes)
  t.deepEqual(await readObject(plain, 'packs/p', 100), bytes, 'packs are sealed when they come')
})

test('owners and prefetch lists are worth nothing in another place, batches keep their worth when they are published', async (t) => {
  const { root, sealed } = await pair(t)
  const [one, two] = ['g00000001', 'g00000002'].map((name) => `epochs/${image}/${name}`)
  await sealed.makeDirectory(`epochs/${image}`)
  await sealed.makeDirectory('intents')
  await sealed.openGeneration(one, 'owner', Buffer.from('first'))
  await sealed.put('intents/w', Buffer.from('records'))
  await sealed.publishIntent('intents/w', one, '00000000-00000000.1')
  await sealed.publish(one, '00000001-00000001.1', Buffer.from('more'))
  await sealed.closeGeneration(one)
  await sealed.openGeneration(two, 'owner', Buffer.from('second'))
  t.is(String(await readObject(sealed, `${one}/closed/00000000-00000000.1`, 100)), 'records')
  t.is(String(await readObject(sealed, `${one}/closed/00000001-00000001.1`, 100)), 'more')
  t.is(String(await readObject(sealed, `${one}/closed/owner`, 100)), 'first')
  fs.copyFileSync(join(root, one, 'closed/owner'), join(root, two, 'open/owner'))
  t.is(await refusal(sealed, `${two}/open/owner`), 'DAMAGED')
  await sealed.makeDirectory(`prefetch/${image}`)
  await sealed.put(`prefetch/${image}/00000001`, Buffer.from('list'))
  fs.copyFileSync(join(root, `prefetch/${image}/00000001`), join(root, `prefetch/${image}/00000002`))
  t.is(await refusal(sealed, `prefetch/${image}/00000002`), 'DAMAGED')
  fs.writeFileSync(join(root, `prefetch/${image}/00000003`), 'list')
  t.is(await refusal(sealed, `prefetch/${image}/00000003`), 'BAD_FORMAT', 'what is not sealed at all')
})

async function refusal(replica: Replica, path: string): Promise<string | undefined> {
  return readObject(replica, path, 1000).then(() => undefined, codeOf)
}
