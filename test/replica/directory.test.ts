import test from 'ava'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { systemEnv } from '../../src/env/system.ts'
import { HoldfastError } from '../../src/errors.ts'
import { openReplica } from '../../src/replica/open.ts'
import { codeFrom, contract, names } from './contract.ts'

const script = fileURLToPath(new URL('./publishing-process.ts', import.meta.url))

contract({
  name: 'directory',
  register: test,
  async open(t) {
    const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-replica-'))
    const replica = openReplica(systemEnv(), `file://${directory}/root`)
    t.teardown(async () => {
      await replica.close()
      fs.rmSync(directory, { recursive: true, force: true })
    })
    await replica.makeDirectory('')
    return replica
  },
})

test('directory: processes publish while one closes: what was confirmed is what is there', async (t) => {
  t.timeout(480_000)
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-replica-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  await using replica = openReplica(systemEnv(), `file://${directory}`)
  for (let round = 0; round < 5; round++) {
    await replica.openGeneration(`g${round}`, 'owner', Buffer.from('me'))
    const children = [0, 1].map(() => spawn(process.execPath, [script, replica.url, `g${round}`], { stdio: ['ignore', 'pipe', 'inherit'] }))
    for (const child of children) t.teardown(() => child.kill('SIGKILL'))
    const outputs = children.map((child) => text(child.stdout))
    while ((await names(replica, `g${round}/open`)).length < 10) await sleep(5)
    t.is(await replica.closeGeneration(`g${round}`), 'won')
    const seen = await names(replica, `g${round}/closed`)
    const confirmed = (await Promise.all(outputs)).flatMap((each) => each.split('\n').filter(Boolean))
    t.deepEqual(seen, ['owner', ...confirmed].toSorted())
    t.deepEqual(await names(replica, `g${round}/closed`), seen)
  }
})

test('directory: a client that is killed in a put leaves nothing but a temporary object', async (t) => {
  t.timeout(480_000)
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-replica-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  await using replica = openReplica(systemEnv(), `file://${directory}`)
  const uploading = fileURLToPath(new URL('./uploading-process.ts', import.meta.url))
  const child = spawn(process.execPath, [uploading, replica.url, 'o', '100000000'], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.deepEqual(await names(replica, ''), [])
  t.is(await replica.removeTemporaries(3_600_000), 0)
  t.is(await replica.removeTemporaries(0), 1)
  t.deepEqual(fs.readdirSync(join(directory, '.tmp')), [])
})

test('directory: who may not is REPLICA_DENIED, a wrong path NOT_FOUND', async (t) => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'holdfast-replica-'))
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }))
  await using replica = openReplica(systemEnv(), `file://${directory}/mistyped`)
  t.is(await codeFrom(replica.put('a', Buffer.from('x'))), 'NOT_FOUND')
  t.is(await codeFrom(names(replica, '')), 'NOT_FOUND')
  const denying = { ...systemEnv(), open: () => { throw new HoldfastError('IO', 'no', { cause: Object.assign(new Error(), { code: 'EACCES' }) }) } }
  await using denied = openReplica(denying, `file://${directory}`)
  t.is(await codeFrom(denied.put('a', Buffer.from('x'))), 'REPLICA_DENIED')
})
