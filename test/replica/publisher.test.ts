import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Buffer } from 'node:buffer'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from '../../src/env/system.ts'
import { openReplica } from '../../src/replica/open.ts'
import { type Publication, Publisher } from '../../src/replica/publisher.ts'
import type { Replica } from '../../src/replica/replica.ts'
import { codeFrom, names, readAll } from './contract.ts'

const generation = 'epochs/vm/g1'

async function prepared(t: ExecutionContext): Promise<Replica> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-replica-'))
  const replica = openReplica(systemEnv(), `file://${directory}/root`)
  t.teardown(async () => {
    await replica.close()
    fs.rmSync(directory, { recursive: true, force: true })
  })
  for (const path of ['', 'packs', 'epochs/vm', 'condemned', 'deleting', 'sweeps']) await replica.makeDirectory(path)
  await replica.openGeneration(generation, 'owner', Buffer.from('me'))
  return replica
}

async function upload(replica: Replica, pack: string): Promise<void> {
  await replica.makeDirectory(`packs/${pack}`)
  await replica.put(`packs/${pack}/whole`, Buffer.from(pack))
}

function batch(name: string, packs: readonly string[]): Publication {
  const encode = (named: readonly string[]): Buffer => Buffer.from(`${name}: ${named.join()}`)
  return { name, packs, encode, isSame: (bytes) => String(bytes).startsWith(`${name}:`) }
}

function publisherOf(replica: Replica, replaced: string[] = []): Publisher {
  return new Publisher(replica, 'me', async (packs, attempt) => {
    replaced.push(...packs)
    for (const pack of packs) await upload(replica, `${pack}.${attempt}`)
    return Object.fromEntries(packs.map((pack) => [pack, [`${pack}.${attempt}`]]))
  })
}

async function published(replica: Replica, name: string): Promise<string> {
  return String(await readAll(replica, `${generation}/open/${name}`))
}

test('batches are published in order, and leave no intent', async (t) => {
  const replica = await prepared(t)
  await upload(replica, 'p')
  await publisherOf(replica).publish(generation, [batch('1', ['p']), batch('2', ['p'])])
  t.is(await published(replica, '1'), '1: p')
  t.is(await published(replica, '2'), '2: p')
  t.deepEqual(await names(replica, 'intents'), [])
})

test('packs that are condemned, deleting or gone are uploaded again, and the batch names the new ones', async (t) => {
  const replica = await prepared(t)
  for (const pack of ['a', 'b', 'c']) await upload(replica, pack)
  await replica.put('condemned/a@c.0', Buffer.alloc(0))
  await replica.put('deleting/b@c.1', Buffer.alloc(0))
  const replaced: string[] = []
  await publisherOf(replica, replaced).publish(generation, [batch('1', ['a', 'b', 'c', 'd'])])
  t.deepEqual(replaced, ['a', 'b', 'd'])
  t.regex(await published(replica, '1'), /^1: a\.me\.\d+,b\.me\.\d+,c,d\.me\.\d+$/)
  t.deepEqual(await names(replica, 'intents'), [])
})

test('what was found is not looked for again until a sweep is made', async (t) => {
  const replica = await prepared(t)
  await upload(replica, 'p')
  const replaced: string[] = []
  const publisher = publisherOf(replica, replaced)
  await publisher.publish(generation, [batch('1', ['p'])])
  fs.rmSync(join(new URL(replica.url).pathname, 'packs/p'), { recursive: true })
  await publisher.publish(generation, [batch('2', ['p'])])
  t.deepEqual(replaced, [], 'a collector would have made a sweep')
  await replica.put('sweeps/c.1', Buffer.alloc(0))
  await publisher.publish(generation, [batch('3', ['p'])])
  t.deepEqual(replaced, ['p'])
})

test('an intent that a collector took away is made again; a closed generation fences', async (t) => {
  const replica = await prepared(t)
  await upload(replica, 'p')
  let taken = 0
  const taking = new Proxy(replica, {
    get(target, key) {
      if (key === 'publishIntent' && taken++ === 0) {
        return async (path: string, directory: string, name: string) => {
          await target.remove(path)
          return target.publishIntent(path, directory, name)
        }
      }
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const publisher = publisherOf(taking)
  await publisher.publish(generation, [batch('1', ['p'])])
  t.is(taken, 2)
  t.is(await published(replica, '1'), '1: p')
  await replica.closeGeneration(generation)
  t.is(await codeFrom(publisher.publish(generation, [batch('2', ['p'])])), 'FENCED')
  t.deepEqual(await names(replica, 'intents'), [])
})

test('the same records that an earlier run published are enough, others are not', async (t) => {
  const replica = await prepared(t)
  await upload(replica, 'p')
  await replica.publish(generation, '1', Buffer.from('1: q'))
  await publisherOf(replica).publish(generation, [batch('1', ['p'])])
  t.is(await published(replica, '1'), '1: q')
  await replica.publish(generation, '2', Buffer.from('other'))
  t.is(await codeFrom(publisherOf(replica).publish(generation, [batch('2', ['p'])])), 'FENCED')
})
